"""Laws of approvals: they turn review into admit for one evidence record, and do nothing else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.decision import Approval, Verdict, decide
from registry_gate.errors import VerificationError
from registry_gate.evidence import Evidence
from registry_gate.finding import Finding
from registry_gate.signing.approval import load_approver, make_approver, open_approval, sign_approval
from registry_gate.testing.sample_release import SampleGate, sample_gate
from tests.test_decision import NOW, POLICY, all_required, evidence, findings

LENIENT = POLICY.model_copy(update={"separate_approver": False})


def approval(about: Evidence, **changes: object) -> Approval:
    plain = Approval(
        evidence_digest=about.digest(),
        policy_digest=POLICY.digest(),
        approver="ana",
        requester="bob",
        reason="looked at it",
        issued_at=NOW - timedelta(days=1),
        expires_at=NOW + timedelta(days=1),
    )
    return plain.model_copy(update=changes)


@given(found=st.lists(findings, max_size=5))
def test_review_becomes_admit_and_reject_stays(found: list[Finding]) -> None:
    about = evidence(all_required(*found))
    before = decide(about, POLICY, NOW)
    after = decide(about, POLICY, NOW, (approval(about),))
    if before.verdict is Verdict.REVIEW:
        assert (after.verdict, after.approved_by) == (Verdict.ADMIT, "ana")
        assert after.reasons == before.reasons, "what was found stays in the report"
    else:
        assert after == before


@given(found=st.lists(findings, max_size=4), extra=findings)
def test_adding_a_finding_never_turns_a_refusal_into_an_admission(
    found: list[Finding], extra: Finding
) -> None:
    less, more = evidence(all_required(*found)), evidence(all_required(*found, extra))
    given_to = (approval(less),)
    if decide(less, POLICY, NOW, given_to).verdict is not Verdict.ADMIT:
        assert decide(more, POLICY, NOW, given_to).verdict is not Verdict.ADMIT
    if decide(more, POLICY, NOW).verdict is not Verdict.ADMIT:
        assert decide(more, POLICY, NOW, given_to).verdict is not Verdict.ADMIT, "it was of other evidence"


@given(found=st.lists(findings, max_size=5), other=st.lists(findings, max_size=5))
def test_an_approval_of_other_evidence_changes_nothing(found: list[Finding], other: list[Finding]) -> None:
    about, elsewhere = evidence(all_required(*found)), evidence(all_required(*other))
    if about.digest() != elsewhere.digest():
        assert decide(about, POLICY, NOW, (approval(elsewhere),)) == decide(about, POLICY, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"policy_digest": "sha256:" + "0" * 64},
        {"expires_at": NOW},
        {"issued_at": NOW + timedelta(seconds=1)},
        {"requester": "ana"},
        {"requester": None},
    ],
)
def test_what_does_not_count(changes: dict[str, object]) -> None:
    about = evidence([])  # required checks did not look: review
    assert decide(about, POLICY, NOW).verdict is Verdict.REVIEW
    assert decide(about, POLICY, NOW, (approval(about),)).verdict is Verdict.ADMIT
    assert decide(about, POLICY, NOW, (approval(about, **changes),)).verdict is Verdict.REVIEW


def test_a_policy_may_let_people_approve_what_they_asked_for() -> None:
    about = evidence([])
    own = approval(about, policy_digest=LENIENT.digest(), requester="ana")
    assert decide(about, LENIENT, NOW, (own,)).verdict is Verdict.ADMIT


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> SampleGate:
    return sample_gate(tmp_path_factory.mktemp("gate") / "home")


def test_a_signed_approval_is_read_back_and_every_byte_counts(gate: SampleGate, tmp_path: Path) -> None:
    approver = make_approver(tmp_path, "ana")
    trust = gate.trust.model_copy(update={"approvers": (approver,)})
    said = approval(evidence([]))
    bundle = sign_approval(said, load_approver(tmp_path / "ana.pem"))
    assert open_approval(bundle, trust) == said
    for position in range(0, len(bundle), 7):
        changed = bundle[:position] + bytes([bundle[position] ^ 1]) + bundle[position + 1 :]
        with pytest.raises(VerificationError):
            open_approval(changed, trust)


def test_an_approver_speaks_under_their_own_name_only(gate: SampleGate, tmp_path: Path) -> None:
    ana, bob = make_approver(tmp_path, "ana"), make_approver(tmp_path, "bob")
    trust = gate.trust.model_copy(update={"approvers": (ana, bob)})
    bundle = sign_approval(approval(evidence([])), load_approver(tmp_path / "bob.pem"))
    with pytest.raises(VerificationError) as caught:
        open_approval(bundle, trust)
    assert caught.value.code == "untrusted-key"
