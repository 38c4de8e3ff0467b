"""Every answer is one whole line, whoever writes beside it, and whatever kills a writer."""

from __future__ import annotations

import asyncio
import io
import json
import multiprocessing
import os
import resource
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.errors import FetchError, ToolError, UsageError
from registry_gate.runtime import AsgiPredictionLog, PredictionLog, WsgiPredictionLog
from registry_gate.runtime.prediction_log import Keep, LogPolicy, Sync, label_of
from registry_gate.runtime.predictions import Prediction, Reading, matches

MODEL = "sha256:" + "1" * 64
KEY = b"k" * 32


def a_log(path: Path, **policy: Any) -> PredictionLog:
    return PredictionLog(path, model=MODEL, key=KEY, policy=LogPolicy(**policy))


def lines(path: Path) -> list[Prediction]:
    return list(Reading(path))


def test_a_line_says_what_was_asked_and_answered_but_not_in_clear(tmp_path: Path) -> None:
    path = tmp_path / "made/predictions.jsonl"
    log = a_log(path)
    log.write(b"a secret question", b'{"label": "positive", "score": 0.9}', status=200)
    (line,) = lines(path)
    assert line.input_hmac == log.input_hmac(b"a secret question")
    assert (line.label, line.status, line.model) == ("positive", 200, MODEL)
    assert line.output == {"label": "positive", "score": 0.9}
    assert b"secret" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600


def test_inputs_are_kept_only_by_policy_and_never_over_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    log = a_log(path, keep=Keep.TEXT, max_input=8)
    for asked in (b"short", b"longer than eight", b"\xff\xfe"):
        log.write(asked, b"x")
    assert [line.input for line in lines(path)] == ["short", None, "\\xff\\xfe"]


def test_another_key_gives_other_hashes(tmp_path: Path) -> None:
    other = PredictionLog(tmp_path / "p.jsonl", model=MODEL, key=b"o" * 32)
    assert other.input_hmac(b"x") != a_log(tmp_path / "p.jsonl").input_hmac(b"x")


@pytest.mark.parametrize("key", [b"", b"short"])
def test_a_weak_key_is_refused(tmp_path: Path, key: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        PredictionLog(tmp_path / "p.jsonl", model=MODEL, key=key)
    assert caught.value.code == "weak-log-key"


def test_files_rotate_by_size_and_old_ones_go(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    log = a_log(path, max_bytes=2000, files=3)
    for number in range(60):
        log.write(str(number).encode(), b"{}")
    rotated = sorted(tmp_path.glob("predictions-*.jsonl"))
    assert len(rotated) == 3
    assert all(file.stat().st_size <= 2000 for file in [*rotated, path])
    kept = [line.input_hmac for line in lines(path)]
    assert kept == [log.input_hmac(str(number).encode()) for number in range(60 - len(kept), 60)]


def test_files_rotate_by_age(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    log = a_log(path, max_age=timedelta(0))
    for _ in range(3):
        log.write(b"x", b"{}")
    assert len(list(tmp_path.glob("predictions-*.jsonl"))) == 2
    assert len(lines(path)) == 3


def _write_many(path: Path, name: str) -> None:
    log = a_log(path, max_bytes=20_000, files=1000)
    for number in range(100):
        log.write(f"{name}-{number}".encode(), b'{"label": "x"}')


def test_many_writers_lose_and_break_nothing_while_files_rotate(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(path, name)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    reading = Reading(path)
    found = [line.input_hmac for line in reading]
    log = a_log(path)
    assert sorted(found) == sorted(
        log.input_hmac(f"{name}-{n}".encode()) for name in "abcd" for n in range(100)
    )
    assert reading.unreadable == 0
    assert len(reading.files) > 3


def test_what_a_killed_writer_began_spoils_no_other_line(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    log = a_log(path)
    log.write(b"before", b"{}")
    with path.open("ab") as file:
        file.write(b'{"version":1,"at":"2026')
    log.write(b"after", b"{}")
    reading = Reading(path)
    assert [line.input_hmac for line in reading] == [log.input_hmac(b"before"), log.input_hmac(b"after")]
    assert reading.unreadable == 1


def _fill(path: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
    log = a_log(path)
    for number in range(10):
        try:
            log.write(str(number).encode(), b"{}")
        except ToolError as error:
            os._exit(7 if error.code == "prediction-not-logged" else 8)
    os._exit(9)


def test_a_full_disk_is_an_error_and_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    writer = multiprocessing.get_context("fork").Process(target=_fill, args=(path,))
    writer.start()
    writer.join(60)
    assert writer.exitcode == 7
    assert path.read_bytes().endswith(b"\n")
    reading = Reading(path)
    assert len(list(reading)) >= 1
    assert reading.unreadable == 0


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_a_plain_file_is_written_to(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "predictions.jsonl"
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(ToolError) as caught:
        a_log(path, sync=Sync.EVERY_LINE).write(b"x", b"{}")
    assert caught.value.code == "prediction-not-logged"
    assert not (tmp_path / "elsewhere").exists()


def test_a_line_stays_a_line_whatever_is_asked_and_answered(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    log = a_log(path, keep=Keep.TEXT, max_input=1 << 22, max_output=1 << 22)
    hostile = [
        b'\n{"label":"x"}\n',
        b"\x1b[2J\x00\xff",
        b"NaN",
        b'{"score": NaN}',
        b"[" * 5000,
        b"1" * (1 << 21),
    ]
    for text in hostile:
        log.write(text, text)
    reading = Reading(path)
    assert [line.input_size for line in reading] == [len(text) for text in hostile]
    assert reading.unreadable == 0


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_reading_survives_any_bytes(pieces: list[bytes]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.jsonl"
        path.write_bytes(b"\n".join(pieces))
        reading = Reading(path)
        assert list(reading) == []
        assert reading.unreadable <= path.read_bytes().count(b"\n") + 1


def test_no_log_is_an_error_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(FetchError) as caught:
        Reading(tmp_path / "none.jsonl")
    assert caught.value.code == "no-prediction-log"


@pytest.mark.parametrize(
    ("output", "label"),
    [
        ({"label": "a"}, "a"),
        ({"label": 3}, "3"),
        ({"label": True}, None),
        ([{"label": "a", "score": 0.1}, {"label": "b", "score": 0.9}], "b"),
        ([{"label": "a"}, {"label": "b"}], "a"),
        ([1, 2], None),
        ([], None),
        ("a", None),
        (None, None),
    ],
)
def test_the_class_of_an_answer(output: Any, label: str | None) -> None:
    assert label_of(output) == label


def test_a_decorated_function_logs_each_call(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    log = a_log(path)

    @log.logged
    def classify(text: str, *, top: int = 1) -> list[dict[str, Any]]:
        return [{"label": text[:3], "score": 1.0}] * top

    assert classify("good film") == [{"label": "goo", "score": 1.0}]
    assert classify("bad film", top=2)
    assert [line.label for line in lines(path)] == ["goo", "bad"]
    assert lines(path)[0].input_hmac == log.input_hmac(b'["good film"]')
    assert [line for line in lines(path) if matches(line, "bad", lines(path)[1].input_hmac[:8])]


def wsgi_echo(environ: Any, start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"label": "', body, b'"}']


def wsgi_call(application: Any, body: bytes, length: str | None = None) -> tuple[str, bytes]:
    told: list[str] = []
    environ = {"CONTENT_LENGTH": str(len(body)) if length is None else length, "wsgi.input": io.BytesIO(body)}
    parts = application(environ, lambda status, headers, *rest: told.append(status))
    return told[0], b"".join(parts)


def test_wsgi_logs_requests_with_a_body(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    application = WsgiPredictionLog(wsgi_echo, a_log(path), max_body=100)
    assert wsgi_call(application, b"") == ("200 OK", b'{"label": ""}')
    assert not path.exists()
    assert wsgi_call(application, b"yes") == ("200 OK", b'{"label": "yes"}')
    (line,) = lines(path)
    assert (line.label, line.status) == ("yes", 200)
    for length in ("101", "-1", "1e3", "٣"):
        assert wsgi_call(application, b"x", length)[0].startswith("413")
    assert len(lines(path)) == 1


def test_nothing_is_answered_that_cannot_be_logged(tmp_path: Path) -> None:
    (tmp_path / "predictions.jsonl").mkdir()
    application = WsgiPredictionLog(wsgi_echo, a_log(tmp_path / "predictions.jsonl"))
    with pytest.raises(ToolError):
        wsgi_call(application, b"x")


async def _asgi_echo(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b'{"label": "', "more_body": True})
    await send({"type": "http.response.body", "body": body + b'"}'})


async def _asgi_call(application: Any, pieces: list[bytes]) -> list[Any]:
    waiting = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces) - 1}
        for number, piece in enumerate(pieces)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await application({"type": "http"}, receive, send)
    return sent


def test_asgi_logs_whole_streams(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    log = a_log(path)
    application = AsgiPredictionLog(_asgi_echo, log, max_body=10)
    sent = asyncio.run(_asgi_call(application, [b"ye", b"s"]))
    assert [message["type"] for message in sent] == ["http.response.start", *["http.response.body"] * 2]
    (line,) = lines(path)
    assert (line.label, line.input_hmac) == ("yes", log.input_hmac(b"yes"))
    asyncio.run(_asgi_call(application, [b""]))
    assert len(lines(path)) == 1
    with pytest.raises(ValueError, match="more than 10 bytes"):
        asyncio.run(_asgi_call(application, [b"x" * 11]))


def test_asgi_holds_the_last_piece_back_until_the_line_is_written(tmp_path: Path) -> None:
    (tmp_path / "predictions.jsonl").mkdir()
    application = AsgiPredictionLog(_asgi_echo, a_log(tmp_path / "predictions.jsonl"))
    with pytest.raises(ToolError):
        asyncio.run(_asgi_call(application, [b"x"]))


async def _asgi_broken_off(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"most of it", "more_body": True})
    raise ConnectionResetError("the client has gone")


def test_who_leaves_before_the_end_is_in_the_log_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    log = a_log(path)
    with pytest.raises(ConnectionResetError):
        asyncio.run(_asgi_call(AsgiPredictionLog(_asgi_broken_off, log), [b"question"]))
    (line,) = lines(path)
    assert (line.input_hmac, line.status) == (log.input_hmac(b"question"), 200)


def test_json_of_a_line_is_canonical(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    a_log(path).write(b"x", b"{}")
    text = path.read_text()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) + "\n"
