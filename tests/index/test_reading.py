"""What a reader refuses: other signers, old states, states too old to be believed, and nothing at all."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from registry_gate.errors import Error, VerificationError
from registry_gate.index.content import IndexContent, LogHead
from registry_gate.index.edits import with_log
from registry_gate.index.keys import INDEX, ROOT, TIMESTAMP, key_path, load_key, make_key
from registry_gate.index.metadata import files_of
from registry_gate.index.read import read_index
from registry_gate.index.repository import IndexRepository, write_files
from registry_gate.index.setup import init_root, rotate_root
from registry_gate.testing.sample_release import SampleGate, sample_gate
from tests.index.conftest import Reader, kept_copy, new_reader, put_back


def grow(gate: SampleGate) -> None:
    """One more state of the index."""
    length = (gate.index.content().log or LogHead(length=0, line_digest="0" * 64)).length + 1
    gate.index.change(lambda content: with_log(content, LogHead(length=length, line_digest="a" * 64)))


def test_the_newest_state_is_read(gate: SampleGate, reader: Reader) -> None:
    assert reader.read() == 1
    grow(gate)
    assert reader.read() == 2


def test_a_trust_file_without_a_root_is_refused(gate: SampleGate, reader: Reader) -> None:
    reader.trust = gate.trust.model_copy(update={"index": None})
    assert reader.refused() == "no-index"


@pytest.mark.parametrize("lost", ["timestamp.json", "1.root.json", "2.snapshot.json", "2.targets.json"])
def test_an_index_that_is_not_whole_is_refused(lost: str, gate: SampleGate, reader: Reader) -> None:
    grow(gate)
    (gate.settings.own_index / lost).unlink()
    assert reader.refused() == "no-index"


def test_an_index_of_somebody_else_is_refused(gate: SampleGate, reader: Reader, tmp_path: Path) -> None:
    other = sample_gate(tmp_path / "other")
    put_back(other.settings.own_index, gate.settings.own_index)
    assert reader.refused() == "index-untrusted"


def test_an_old_index_shown_to_one_who_saw_the_new_is_refused(
    gate: SampleGate, reader: Reader, tmp_path: Path
) -> None:
    old = kept_copy(gate.settings.own_index, tmp_path / "old")
    grow(gate)
    assert reader.read() == 2
    put_back(old, gate.settings.own_index)
    assert reader.refused() == "index-rolled-back"


def test_without_memory_the_minimum_version_refuses_an_old_index(
    gate: SampleGate, reader: Reader, tmp_path: Path
) -> None:
    old = kept_copy(gate.settings.own_index, tmp_path / "old")
    grow(gate)
    put_back(old, gate.settings.own_index)
    assert reader.read() == 1, "a machine without memory cannot know"
    fresh = new_reader(gate, tmp_path / "fresh")
    pinned = gate.trust.index
    assert pinned is not None
    newer = pinned.model_copy(update={"minimum_version": 2})
    fresh.trust = gate.trust.model_copy(update={"index": newer})
    assert fresh.refused() == "index-rolled-back"


def test_without_memory_a_short_life_refuses_an_old_index(gate: SampleGate, reader: Reader) -> None:
    gate.index.refresh(hours=1, now=datetime.now(UTC) - timedelta(hours=2))
    assert reader.refused() == "index-stale"
    gate.index.refresh()
    assert reader.read() == 2


def test_a_home_that_cannot_be_written_still_verifies(gate: SampleGate, tmp_path: Path) -> None:
    reader = new_reader(gate, tmp_path / "file" / "home")
    (tmp_path / "file").write_text("no folder can be made here")
    assert reader.read() == 1
    (gate.settings.own_index / "timestamp.json").unlink()
    assert reader.refused() == "no-index"


def forged(gate: SampleGate, content: IndexContent, version: int, **thief: Path) -> None:
    """A newer state, signed with whatever keys a thief has; made-up ones for the others."""
    home = gate.settings.home.parent / "thief"
    keys = {
        role: load_key(thief[role]) if role in thief else make_key(home / role) for role in (INDEX, TIMESTAMP)
    }
    write_files(gate.settings.own_index, files_of(content, keys, version, datetime.now(UTC)))


@pytest.mark.parametrize("stolen", [(), (INDEX,), (TIMESTAMP,), (ROOT,)])
def test_no_one_key_and_no_admission_key_makes_an_index(
    stolen: tuple[str, ...], gate: SampleGate, reader: Reader
) -> None:
    """The index key alone cannot say "newest", the timestamp's key cannot say what is listed."""
    theirs = {role: key_path(gate.settings.index_keys, role) for role in stolen if role != ROOT}
    if ROOT in stolen:
        theirs = dict.fromkeys((INDEX, TIMESTAMP), key_path(gate.settings.index_keys, ROOT))
    admission = dict.fromkeys((INDEX, TIMESTAMP), gate.settings.keys / "signing-key.pem")
    content = gate.index.content().model_copy(update={"number": 2})
    forged(gate, content, 9, **(theirs or admission))
    assert reader.refused() == "index-untrusted"


def test_a_stolen_timestamp_key_cannot_bring_an_old_state_back(
    gate: SampleGate, reader: Reader, tmp_path: Path
) -> None:
    """It signs the old snapshot as the newest: one who saw the new one refuses."""
    old = kept_copy(gate.settings.own_index, tmp_path / "old")
    grow(gate)
    assert reader.read() == 2
    put_back(old, gate.settings.own_index)
    (gate.settings.index_keys / "highest.json").unlink()
    for _ in range(4):
        IndexRepository(gate.settings, gate.trust).refresh()
    assert reader.refused() == "index-rolled-back"


@pytest.mark.parametrize("role", [INDEX, TIMESTAMP])
def test_a_key_that_was_replaced_signs_no_more(
    role: str, gate: SampleGate, reader: Reader, tmp_path: Path
) -> None:
    stolen = tmp_path / "stolen.pem"
    shutil.copy(key_path(gate.settings.index_keys, role), stolen)
    stolen.chmod(0o600)
    other = TIMESTAMP if role == INDEX else INDEX
    assert rotate_root(gate.settings, gate.trust, (role,)) == 2
    number = reader.read()
    content = gate.index.content().model_copy(update={"number": number + 1})
    forged(gate, content, 99, **{role: stolen, other: key_path(gate.settings.index_keys, other)})
    assert reader.refused() == "index-untrusted"


def test_readers_follow_from_the_first_root_to_the_newest(
    gate: SampleGate, reader: Reader, tmp_path: Path
) -> None:
    assert reader.read() == 1
    for replace in ((ROOT,), (INDEX, TIMESTAMP), ()):
        rotate_root(gate.settings, gate.trust, replace)
    assert reader.read() == new_reader(gate, tmp_path / "fresh").read() == 4


def test_a_root_that_the_old_root_did_not_sign_changes_nothing(
    gate: SampleGate, reader: Reader, tmp_path: Path
) -> None:
    other = sample_gate(tmp_path / "other")
    rotate_root(other.settings, other.trust, ())
    shutil.copy(other.settings.own_index / "2.root.json", gate.settings.own_index)
    assert reader.refused() == "index-untrusted"


def test_a_change_of_keys_killed_in_the_middle_can_be_finished(
    gate: SampleGate, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when the root is written and the state is not: the next ceremony goes on from there."""

    def only_root(folder: Path, files: dict[str, bytes]) -> None:
        write_files(folder, {name: data for name, data in files.items() if "root" in name})
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("registry_gate.index.setup.write_files", only_root)
        rotate_root(gate.settings, gate.trust, (INDEX, TIMESTAMP))
    assert reader.refused() == "index-untrusted"
    rotate_root(gate.settings, gate.trust, ())
    assert reader.read() == 2


def test_the_first_index_is_never_made_twice(gate: SampleGate) -> None:
    with pytest.raises(Error) as caught:
        init_root(gate.settings)
    assert caught.value.code == "index-exists"


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_flipped_bit_is_refused(data: st.DataObject, gate: SampleGate, tmp_path: Path) -> None:
    """In a fresh memory; JSON leaves an envelope some freedom, what was signed has none."""
    folder = gate.settings.own_index
    names = sorted(path.name for path in folder.iterdir() if path.suffix == ".json")
    path = folder / data.draw(st.sampled_from(names))
    before = path.read_bytes()
    changed = bytearray(before)
    changed[data.draw(st.integers(0, len(before) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(changed)
    home = tmp_path / f"fresh-{len(list(tmp_path.iterdir()))}"
    try:
        content = read_index(new_reader(gate, home).settings, gate.trust)
    except Error as error:
        assert isinstance(error, VerificationError), error
        assert error.code in {"index-untrusted", "no-index", "index-stale", "index-rolled-back"}
    else:
        assert content == gate.index.content(), "what is read is what was signed"
    finally:
        path.write_bytes(before)


@pytest.fixture
def web_server(gate: SampleGate) -> Iterator[str]:
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(gate.settings.own_index))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_plain_web_server_will_do(gate: SampleGate, reader: Reader, web_server: str) -> None:
    reader.settings = reader.settings.model_copy(update={"index": web_server})
    grow(gate)
    assert reader.read() == 2


def test_a_server_that_is_away_is_no_decision(gate: SampleGate, reader: Reader) -> None:
    reader.settings = reader.settings.model_copy(update={"index": "http://127.0.0.1:1"})
    assert reader.refused() == "index-unreachable"


@pytest.mark.parametrize(
    ("answer", "code"),
    [(401, "index-unreachable"), (403, "index-unreachable"), (503, "index-unreachable"), (404, "no-index")],
)
def test_a_server_that_says_nothing_of_the_index_is_no_decision(
    answer: int, code: str, reader: Reader
) -> None:
    """A wrong password or a busy server is not an index that was taken away."""

    class Unwilling(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(answer)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unwilling) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        reader.settings = reader.settings.model_copy(update={"index": address})
        assert reader.refused() == code
        server.shutdown()


def test_a_named_pipe_or_a_link_in_its_place_does_not_hold_the_reader(
    gate: SampleGate, reader: Reader
) -> None:
    path = gate.settings.own_index / "timestamp.json"
    path.unlink()
    os.mkfifo(path)
    assert reader.refused() == "index-unreachable"


def test_two_readers_of_one_home_at_once(gate: SampleGate, reader: Reader) -> None:
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(reader.read())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [1] * 8


def test_the_memory_is_json_of_the_update_framework(gate: SampleGate, reader: Reader) -> None:
    reader.read()
    (memory,) = reader.settings.seen.iterdir()
    assert json.loads((memory / "timestamp.json").read_bytes())["signed"]["_type"] == "timestamp"
