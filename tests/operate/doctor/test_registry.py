"""A registry that is stopped, altered, of another version, or whose clock is wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path

import pytest

from registry_gate.self_test import ProbeState
from registry_gate.testing.sample_release import SampleGate, SampleStore
from tests.client.mlflow_server import free_port
from tests.operate.doctor.conftest import Try

MLFLOW = metadata.version("mlflow")


@contextmanager
def answering(version: str, date: str | None) -> Iterator[str]:
    """A server that says this version, and this date or none."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(200)
            if date is not None:
                self.send_header("Date", date)
            self.end_headers()
            self.wfile.write(version.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("seconds", "state"),
    [
        (0, ProbeState.OK),
        (40, ProbeState.OK),
        (-40, ProbeState.OK),
        (3600, ProbeState.FAILED),
        (-3600, ProbeState.FAILED),
        (90, ProbeState.FAILED),
        (86400 * 400, ProbeState.FAILED),
    ],
)
def test_the_skew_is_measured_and_judged(
    seconds: float, state: ProbeState, home: SampleGate, attempt: Try
) -> None:
    with answering(MLFLOW, date(seconds)) as uri:
        found = attempt(home.settings.model_copy(update={"registry_uri": uri}), "clock-registry")
    assert found.state is state, found
    assert abs(float(found.measured.split()[0]) + seconds) < 5


@pytest.mark.parametrize("header", [None, "", "yesterday", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_no_usable_date_says_nothing(header: str | None, home: SampleGate, attempt: Try) -> None:
    with answering(MLFLOW, header) as uri:
        found = attempt(home.settings.model_copy(update={"registry_uri": uri}), "clock-registry")
    assert found.state is ProbeState.COULD_NOT_TELL


@pytest.mark.parametrize(
    ("version", "state"),
    [(MLFLOW, ProbeState.OK), ("2.22.0", ProbeState.FAILED), ("<html>\x1b[2J", ProbeState.FAILED)],
)
def test_the_servers_version_must_fit(
    version: str, state: ProbeState, home: SampleGate, attempt: Try
) -> None:
    with answering(version, date(0)) as uri:
        found = attempt(home.settings.model_copy(update={"registry_uri": uri}), "registry-reachable")
    assert (found.state, "\x1b" in found.measured) == (state, False), found


def test_a_stopped_server_is_found_and_the_clock_is_not_known(home: SampleGate, attempt: Try) -> None:
    stopped = home.settings.model_copy(update={"registry_uri": f"http://127.0.0.1:{free_port()}"})
    found = attempt(stopped, "registry-reachable")
    assert (found.state, found.todo != "") == (ProbeState.FAILED, True)
    assert attempt(stopped, "clock-registry").state is ProbeState.COULD_NOT_TELL


def test_a_database_that_is_none_is_found(home: SampleGate, attempt: Try) -> None:
    path = Path(home.settings.registry_uri.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database, whatever its name says" * 100)
    assert attempt(home.settings, "registry-reachable").state is not ProbeState.OK


def test_an_unaltered_registry_passes_and_a_sample_is_said_to_be_one(
    filled: SampleStore, attempt: Try
) -> None:
    settings = filled.gate.settings
    assert attempt(settings, "registry-reachable").state is ProbeState.OK
    found = attempt(settings, "registry-unaltered")
    assert (found.state, found.measured) == (ProbeState.OK, "2 verified of 2 looked at, of 2 registered")
    one = attempt(settings, "registry-unaltered", sample=1)
    assert one.measured == "1 verified of 1 looked at, of 2 registered"


@pytest.mark.parametrize("part", ["model/model.safetensors", "attestations/statements.jsonl"])
def test_one_changed_byte_in_the_store_is_found(part: str, filled: SampleStore, attempt: Try) -> None:
    (version,) = filled.registry.versions("acme--one")
    path = filled.folder(version) / part
    kept = path.read_bytes()
    path.write_bytes(kept[:100] + bytes([kept[100] ^ 1]) + kept[101:])
    try:
        found = attempt(filled.gate.settings, "registry-unaltered")
        assert (found.state, "acme--one/1" in found.measured) == (ProbeState.FAILED, True), found
        filled.registry.delete_alias("acme--one", "approved")
        assert attempt(filled.gate.settings, "registry-unaltered").state is ProbeState.FAILED
        lucky = attempt(filled.gate.settings, "registry-unaltered", sample=1)
        assert lucky.state is ProbeState.OK  # the alias that is left comes first; the sample says it is one
    finally:
        path.write_bytes(kept)
        filled.registry.set_alias("acme--one", "approved", version.version)


def test_a_store_that_cannot_be_read_is_not_called_unaltered(filled: SampleStore, attempt: Try) -> None:
    (version,) = filled.registry.versions("acme--two")
    folder = filled.folder(version)
    folder.rename(folder.with_name("gone"))
    try:
        assert attempt(filled.gate.settings, "registry-unaltered").state is not ProbeState.OK
    finally:
        folder.with_name("gone").rename(folder)
