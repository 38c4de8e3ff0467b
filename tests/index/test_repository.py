"""The gate's side: one state after another, whole or not at all, and never from an older one."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry_gate.errors import Error, UsageError
from registry_gate.index.content import LogHead, RevokedRelease
from registry_gate.index.edits import with_floor, with_floor_at_most, with_log, with_revoked
from registry_gate.index.keys import INDEX, TIMESTAMP, key_path
from registry_gate.index.repository import write_files
from registry_gate.testing.sample_release import SampleGate
from tests.index.conftest import Reader, kept_copy, put_back


def head(length: int) -> LogHead:
    return LogHead(length=length, line_digest="b" * 64)


def test_an_edit_that_changes_nothing_writes_nothing(gate: SampleGate) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in gate.settings.own_index.iterdir()}
    assert gate.index.change(lambda content: content).number == 1
    assert {path.name: path.stat().st_mtime_ns for path in gate.settings.own_index.iterdir()} == before


def test_a_timestamp_past_half_its_life_is_renewed_on_the_way(gate: SampleGate) -> None:
    before = gate.index.state().timestamp.signed
    gate.index.change(lambda content: content, datetime.now(UTC) + timedelta(hours=200))
    after = gate.index.state().timestamp.signed
    assert after.version == before.version + 1
    assert after.expires > before.expires


def test_refreshing_needs_the_timestamp_key_only(gate: SampleGate, reader: Reader) -> None:
    key_path(gate.settings.index_keys, INDEX).unlink()
    gate.index.refresh()
    assert reader.read() == 1
    with pytest.raises(UsageError) as caught:
        gate.index.change(lambda content: with_log(content, head(1)))
    assert caught.value.code == "no-private-key"


def test_the_gate_does_not_build_on_an_older_state(gate: SampleGate, tmp_path: Path) -> None:
    """Else a revocation would be forgotten for good, signed and published by the gate itself."""
    old = kept_copy(gate.settings.own_index, tmp_path / "old")
    gate.index.change(lambda content: with_log(content, head(1)))
    put_back(old, gate.settings.own_index)
    with pytest.raises(Error) as caught:
        gate.index.change(lambda content: with_log(content, head(2)))
    assert caught.value.code == "index-rolled-back"


def test_killed_before_any_file_the_old_state_is_read(
    gate: SampleGate, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    for after in range(4):

        def some(folder: Path, files: dict[str, bytes], after: int = after) -> None:
            write_files(folder, dict(list(files.items())[:after]))
            raise KeyboardInterrupt

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr("registry_gate.index.repository.write_files", some)
            gate.index.change(lambda content, after=after: with_log(content, head(after + 1)))  # type: ignore[misc]
        assert reader.read() == 1
    assert gate.index.change(lambda content: with_log(content, head(9))).number == 2
    assert reader.read() == 2


def test_old_states_are_forgotten_and_the_roots_kept(gate: SampleGate) -> None:
    for length in range(1, 15):
        gate.index.change(lambda content, length=length: with_log(content, head(length)))  # type: ignore[misc]
    names = sorted(path.name for path in gate.settings.own_index.iterdir())
    assert len(names) < 16
    assert "1.root.json" in names


def test_threads_take_turns(gate: SampleGate) -> None:
    def revoke(number: int) -> None:
        digest = f"sha256:{number:064x}"
        entry = RevokedRelease(manifest_digest=digest, reason="test", revoked_at=datetime.now(UTC))
        gate.index.change(lambda content: with_revoked(content, entry))

    threads = [threading.Thread(target=revoke, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(gate.index.content().revoked) == 8


def test_what_is_published_elsewhere_can_be_read_there(
    gate: SampleGate, reader: Reader, tmp_path: Path
) -> None:
    place = tmp_path / "web"
    settings = gate.settings.model_copy(update={"index": str(place)})
    gate.index.change(lambda content: with_log(content, head(1)))
    repository = type(gate.index)(settings, gate.trust)
    repository.change(lambda content: with_log(content, head(2)))
    reader.settings = reader.settings.model_copy(update={"index": str(place)})
    assert reader.read() == 3
    assert not list(place.glob(".*"))


def test_a_web_server_that_the_gate_cannot_write_to_is_said_so(gate: SampleGate) -> None:
    settings = gate.settings.model_copy(update={"index": "http://127.0.0.1:1/index"})
    with pytest.raises(UsageError) as caught:
        type(gate.index)(settings, gate.trust).refresh()
    assert caught.value.code == "index-not-publishable"


def test_a_key_open_to_others_is_not_used(gate: SampleGate) -> None:
    key_path(gate.settings.index_keys, TIMESTAMP).chmod(0o644)
    with pytest.raises(UsageError) as caught:
        gate.index.refresh()
    assert caught.value.code == "key-readable-by-others"


def test_keys_are_for_their_owner_and_not_the_signing_key(gate: SampleGate) -> None:
    for path in gate.settings.index_keys.glob("*.pem"):
        assert path.stat().st_mode & 0o077 == 0
        assert path.read_bytes() != (gate.settings.keys / "signing-key.pem").read_bytes()
    assert gate.settings.index_keys.stat().st_mode & 0o077 == 0


def test_edits() -> None:
    """A shorter log never replaces a longer one; a floor is lowered before a move and raised after it."""
    from registry_gate.index.content import IndexContent

    content = IndexContent(number=1, verifier="v", hours=1)
    content = with_log(with_log(content, head(5)), head(3))
    assert content.log == head(5)
    content = with_floor(content, "a--b", "approved", 7)
    assert with_floor_at_most(content, "a--b", "approved", 9).floor("a--b", "approved") == 7
    assert with_floor_at_most(content, "a--b", "approved", 4).floor("a--b", "approved") == 4
    assert content.floor("a--b", "other") == 1
