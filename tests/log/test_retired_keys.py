"""Keys that were retired or stolen, witnesses of the log's length, and what is not verified twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_gate.errors import FetchError, VerificationError
from registry_gate.index.content import LogHead
from registry_gate.index.edits import with_log
from registry_gate.log import chain
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.log.checkpoint import read_checkpoint, verify_log, write_checkpoint
from registry_gate.log.entries import KeyBody
from registry_gate.signing.keys import Signer
from registry_gate.signing.trust import RetiredKey, Trust
from registry_gate.testing.sample_release import SampleGate, sample_gate


@pytest.fixture
def new(tmp_path: Path) -> SampleGate:
    """The gate's next key, as a gate of its own."""
    return sample_gate(tmp_path / "new")


@pytest.fixture
def both(gate: SampleGate, new: SampleGate) -> Trust:
    return gate.trust.model_copy(update={"keys": (new.signer.key, gate.signer.key)})


def after(gate: SampleGate, new: SampleGate, last: int) -> Trust:
    """The trust file once the old key was retired."""
    retired = RetiredKey(key=gate.signer.key, last_sequence=last, reason="stolen")
    return gate.trust.model_copy(update={"keys": (new.signer.key,), "retired_keys": (retired,)})


def write(path: Path, trust: Trust, *signers: Signer) -> AdmissionLog:
    for signer in signers:
        AdmissionLog(path, trust, signer).append(KeyBody(action="added", key_id=signer.key.key_id))
    return AdmissionLog(path, trust)


def test_two_keys_are_valid_at_once(gate: SampleGate, new: SampleGate, both: Trust, tmp_path: Path) -> None:
    log = write(tmp_path / "log", both, gate.signer, new.signer, gate.signer)
    assert [entry.sequence for entry in log.entries()] == [1, 2, 3]


def test_a_retired_keys_old_entries_are_history(
    gate: SampleGate, new: SampleGate, both: Trust, tmp_path: Path
) -> None:
    write(tmp_path / "log", both, gate.signer, gate.signer, new.signer)
    log = AdmissionLog(tmp_path / "log", after(gate, new, 2))
    assert [entry.sequence for entry in log.entries()] == [1, 2, 3]
    assert log.disowned() == ()


def test_entries_after_the_theft_are_named_and_not_believed(
    gate: SampleGate, new: SampleGate, both: Trust, tmp_path: Path
) -> None:
    write(tmp_path / "log", both, gate.signer, gate.signer, gate.signer, new.signer)
    log = AdmissionLog(tmp_path / "log", after(gate, new, 1), new.signer)
    assert [entry.sequence for entry in log.entries()] == [1, 4]
    assert [(item.sequence, item.key_id) for item in log.disowned()] == [
        (2, gate.signer.key.key_id),
        (3, gate.signer.key.key_id),
    ]
    assert log.append(KeyBody(action="added", key_id="0" * 64)).sequence == 5


def test_a_key_nobody_knows_still_breaks_the_log(
    gate: SampleGate, new: SampleGate, both: Trust, tmp_path: Path
) -> None:
    write(tmp_path / "log", both, gate.signer, new.signer)
    with pytest.raises(VerificationError) as caught:
        AdmissionLog(tmp_path / "log", gate.trust).entries()
    assert caught.value.code == "log-damaged"


@pytest.fixture
def own(tmp_path: Path) -> SampleGate:
    """A gate with three entries that its index has seen."""
    gate = sample_gate(tmp_path / "own")
    log = write(gate.settings.log, gate.trust, gate.signer, gate.signer, gate.signer)
    gate.index.change(lambda content: with_log(content, log.head()))
    return gate


def verified(gate: SampleGate, checkpoint: Path | None = None) -> str:
    try:
        verify_log(gate.settings, gate.trust, checkpoint)
    except VerificationError as error:
        return error.code
    return "verified"


def test_a_log_cut_at_the_end_is_noticed_by_the_index(own: SampleGate) -> None:
    assert verified(own) == "verified"
    lines = own.settings.log.read_bytes().splitlines(keepends=True)
    own.settings.log.write_bytes(b"".join(lines[:2]))
    assert verified(own) == "log-cut"
    own.settings.log.unlink()
    assert verified(own) == "log-cut"


def test_a_cut_log_that_was_written_on_is_noticed(own: SampleGate) -> None:
    lines = own.settings.log.read_bytes().splitlines(keepends=True)
    own.settings.log.write_bytes(b"".join(lines[:2]))
    write(own.settings.log, own.trust, own.signer, own.signer)
    assert verified(own) == "log-damaged"


def test_a_checkpoint_kept_elsewhere_notices_what_the_index_cannot(own: SampleGate, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    head = LogHead(length=4, line_digest="a" * 64)
    path.write_bytes(write_checkpoint(head, own.signer) + b"\n")
    assert read_checkpoint(path, own.trust) == head
    assert verified(own, path) == "log-cut"
    write(own.settings.log, own.trust, own.signer)
    assert verified(own, path) == "log-damaged"


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 100])
def test_what_is_no_checkpoint_is_refused(data: bytes, own: SampleGate, tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_bytes(data)
    assert verified(own, tmp_path / "checkpoint") == "bad-bundle"
    with pytest.raises(FetchError):
        verify_log(own.settings, own.trust, tmp_path / "absent")


def test_a_stranger_signs_no_checkpoint(own: SampleGate, new: SampleGate, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(write_checkpoint(LogHead(length=1, line_digest="a" * 64), new.signer))
    assert verified(own, path) == "untrusted-key"


def test_a_verified_prefix_costs_no_signature_and_a_changed_one_is_found(
    own: SampleGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    real = chain.unseal

    def counting(*arguments: object) -> object:
        counted.append(1)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(chain, "unseal", counting)
    log = AdmissionLog(own.settings.log, own.trust, own.signer)
    assert len(log.entries()) == len(counted) == 3
    log.append(KeyBody(action="added", key_id="0" * 64))
    assert len(log.entries()) == len(counted) == 4
    data = bytearray(own.settings.log.read_bytes())
    data[10] ^= 1
    own.settings.log.write_bytes(data)
    with pytest.raises(VerificationError):
        log.entries()
