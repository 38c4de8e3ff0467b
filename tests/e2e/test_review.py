"""A candidate that needs a person: held, approved by another one, finished; or not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from registry_gate import errors, review, verify
from registry_gate.decision import Verdict
from registry_gate.ledger import open_ledger
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.log.entries import DecisionBody
from registry_gate.report.document import Report
from registry_gate.rotation import trust_approver
from registry_gate.signing.approval import load_approver
from registry_gate.signing.trust import effective_trust
from registry_gate.testing.hub import LoopbackHub
from tests.e2e.conftest import Gate, make_gate

MODEL = "acme-ml/unsure"


@pytest.fixture(scope="module")
def weights_hub() -> Iterator[LoopbackHub]:
    """Weights without a configuration: the structure check cannot look, which the default policy reviews."""
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture
def house(weights_hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = make_gate(tmp_path, weights_hub.url)
    weights = {"weight": torch.arange(6.0).reshape(2, 3)}
    weights_hub.add_repo(MODEL, {"model.safetensors": save(weights), "README.md": b"card\n"})
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(gate.settings.home))
    return gate


def admit(gate: Gate, requester: str = "bob") -> Report:
    return gate.admit(MODEL, requester=requester)


def approve(gate: Gate, what: str, name: str = "ana", **changes: object) -> None:
    trust_approver(gate.settings, name)
    ledger = open_ledger(gate.settings)
    entry = review.in_review(ledger.log, what)
    assert isinstance(entry.body, DecisionBody)
    entry = entry.model_copy(update={"body": entry.body.model_copy(update=changes)})
    signer = load_approver(gate.settings.approver_keys / f"{name}.pem")
    review.accept(ledger.log, ledger.trust, review.approve(entry, name, "looked at it", 30, signer))


def test_reviewed_approved_and_finished_from_what_was_held(house: Gate) -> None:
    first = admit(house)
    assert first.verdict is Verdict.REVIEW
    with pytest.raises(errors.Error):
        verify(MODEL)
    approve(house, "1")
    second = admit(house)
    assert second.verdict is Verdict.ADMIT
    trust = effective_trust(house.settings)
    bodies = [entry.body for entry in AdmissionLog(house.settings.log, trust).entries()]
    assert [body.kind for body in bodies] == ["decision", "approval", "decision", "signed", "receipt"]
    reviewed, admitted = bodies[0], bodies[2]
    assert isinstance(reviewed, DecisionBody)
    assert isinstance(admitted, DecisionBody)
    assert (admitted.approved_by, admitted.requester) == ("ana", "bob")
    assert admitted.evidence_digest == reviewed.evidence_digest == verify(MODEL).evidence_digest
    assert not list(house.settings.held.iterdir()), "nothing is held any longer"
    assert admit(house).receipt is not None, "and the same commit again is found, not reviewed"


def test_who_asked_does_not_approve(house: Gate) -> None:
    admit(house, requester="ana")
    approve(house, "1", "ana")
    assert admit(house, requester="ana").verdict is Verdict.REVIEW
    assert admit(house, requester="somebody-else").verdict is Verdict.REVIEW, "the first request counts"


def test_an_approval_that_names_another_requester_than_the_log_does_not_count(house: Gate) -> None:
    admit(house, requester="ana")
    approve(house, "1", "ana", requester="bob")
    assert admit(house, requester="bob").verdict is Verdict.REVIEW


@pytest.mark.parametrize("change", ["flipped", "cut", "longer", "added", "gone", "link"])
def test_held_files_that_are_not_the_evidences_are_not_used(change: str, house: Gate, tmp_path: Path) -> None:
    """The candidate is examined anew then, which needs a new approval."""
    admit(house)
    approve(house, "1")
    (folder,) = (house.settings.held / "acme-ml--unsure").iterdir()
    path = folder / "model.safetensors"
    data = path.read_bytes()
    match change:
        case "flipped":
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        case "cut":
            path.write_bytes(data[:-1])
        case "longer":
            path.write_bytes(data + b"x")
        case "added":
            (folder / "extra.txt").write_text("x")
        case "gone":
            path.unlink()
        case "link":
            path.rename(tmp_path / "aside")
            path.symlink_to(tmp_path / "aside")
    assert admit(house).verdict is Verdict.REVIEW


def test_an_approver_who_is_taken_out_of_the_trust_file_does_not_count(house: Gate) -> None:
    admit(house)
    approve(house, "1")
    from registry_gate.signing.trust import load_trust, save_trust

    trust = load_trust(house.settings.trust)
    save_trust(house.settings.trust, trust.model_copy(update={"approvers": ()}))
    assert admit(house).verdict is Verdict.REVIEW


def test_an_approval_by_a_stranger_is_not_recorded(house: Gate, tmp_path: Path) -> None:
    admit(house)
    ledger = open_ledger(house.settings)
    entry = review.in_review(ledger.log, "1")
    from registry_gate.signing.key_files import make_key_file
    from registry_gate.signing.keys import KeySigner

    stranger = KeySigner(make_key_file(tmp_path / "stranger.pem", "key"))
    for signer, code in ((stranger, "untrusted-key"), (ledger_signer(house), "untrusted-key")):
        with pytest.raises(errors.VerificationError) as caught:
            review.accept(ledger.log, ledger.trust, review.approve(entry, "ana", "let it in", 30, signer))
        assert caught.value.code == code


def ledger_signer(house: Gate) -> object:
    """The gate's own key: it approves nothing."""
    from registry_gate.signing.keys import load_signer

    return load_signer(house.settings)


def test_an_approval_of_old_is_over(house: Gate) -> None:
    admit(house)
    trust_approver(house.settings, "ana")
    ledger = open_ledger(house.settings)
    entry = review.in_review(ledger.log, "1")
    signer = load_approver(house.settings.approver_keys / "ana.pem")
    long_ago = datetime.now(UTC) - timedelta(days=40)
    review.accept(ledger.log, ledger.trust, review.approve(entry, "ana", "then", 30, signer, long_ago))
    assert admit(house).verdict is Verdict.REVIEW


def test_nothing_to_approve(house: Gate) -> None:
    admit(house)
    log = open_ledger(house.settings).log
    for what in ("99", "sha256:" + "0" * 64, ""):
        with pytest.raises(errors.UsageError) as caught:
            review.in_review(log, what)
        assert caught.value.code == "nothing-to-approve"
