"""Laws of approvals: they turn review into admit for one evidence record, and do nothing else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.decision import Approval, Verdict, decide
from registry_gate.errors import Refused, VerificationError
from registry_gate.evidence import Evidence
from registry_gate.finding import Finding
from registry_gate.release import Terms
from registry_gate.signing.approval import load_approver, make_approver, open_approval, sign_approval
from registry_gate.signing.authority import Authority
from registry_gate.signing.draft import make_draft
from registry_gate.signing.order import Order
from registry_gate.signing.seal import KeySealer
from registry_gate.signing.trust import Trust
from registry_gate.testing.sample_release import SampleGate, an_hour_ago, sample_gate
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
    ("code", "changes"),
    [
        ("approval-of-another-policy", {"policy_digest": "sha256:" + "0" * 64}),
        ("approval-expired", {"expires_at": NOW}),
        ("approval-from-the-future", {"issued_at": NOW + timedelta(seconds=1)}),
        ("approval-by-requester", {"requester": "ana"}),
        ("approval-by-requester", {"requester": None}),
        ("approval-too-old", {"issued_at": NOW - timedelta(days=POLICY.approval_days, microseconds=1)}),
    ],
)
def test_what_does_not_count(code: str, changes: dict[str, object]) -> None:
    about = evidence([])  # required checks did not look: review
    before = decide(about, POLICY, NOW)
    assert before.verdict is Verdict.REVIEW
    assert decide(about, POLICY, NOW, (approval(about),)).verdict is Verdict.ADMIT
    after = decide(about, POLICY, NOW, (approval(about, **changes),))
    assert after.verdict is Verdict.REVIEW
    assert [reason.code for reason in after.reasons[len(before.reasons) :]] == [code]


def test_an_approval_counts_to_the_end_of_the_days_that_the_policy_gives_it() -> None:
    about = evidence([])
    oldest = approval(about, issued_at=NOW - timedelta(days=POLICY.approval_days))
    assert decide(about, POLICY, NOW, (oldest,)).verdict is Verdict.ADMIT
    assert decide(about, POLICY, NOW + timedelta(microseconds=1), (oldest,)).verdict is Verdict.REVIEW
    older = approval(about, issued_at=NOW - timedelta(days=400))
    assert decide(about, POLICY, NOW, (older, oldest)).verdict is Verdict.ADMIT, "one that counts is enough"


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


def test_the_signer_verifies_approvals_by_itself(gate: SampleGate, tmp_path: Path) -> None:
    """What the gate says was approved does not count with the process that holds the key."""
    trust = gate.trust.model_copy(update={"approvers": (make_approver(tmp_path, "ana"),)})
    now = an_hour_ago()
    about = gate.evidence(tmp_path / "staged", "acme/tiny", {"a": b"1"}, "a" * 40).model_copy(
        update={"results": ()}
    )
    said = approval(
        about,
        policy_digest=gate.policy.digest(),
        issued_at=now - timedelta(hours=1),
        expires_at=now + timedelta(hours=1),
    )
    bundle = sign_approval(said, load_approver(tmp_path / "ana.pem")).decode()
    stranger = sign_approval(said, gate.signer).decode()
    decision = decide(about, gate.policy, now, (said,))
    assert decision.verdict is Verdict.ADMIT
    terms = Terms(sequence=1, issued_at=now, expires_at=now + timedelta(days=1))
    digest = make_draft(about, decision, terms, trust.verifier).manifest.digest()

    def order(*bundles: str) -> Order:
        return Order(
            evidence=about,
            decision=decision,
            policy=gate.policy,
            terms=terms,
            manifest_digest=digest,
            approvals=bundles,
        )

    assert Authority(KeySealer(gate.signer), trust).carry_out(order(bundle)).statements
    aged = said.model_copy(update={"issued_at": now - timedelta(days=gate.policy.approval_days, seconds=1)})
    old = sign_approval(aged, load_approver(tmp_path / "ana.pem")).decode()
    refusals: tuple[tuple[tuple[str, ...], Trust, str], ...] = (
        ((), trust, "gives another decision: review"),
        ((old,), trust, "approval-too-old"),
        ((stranger,), trust, "an approval does not count"),
        ((bundle,), gate.trust, "an approval does not count"),
    )
    for bundles, believed, why in refusals:
        with pytest.raises(Refused, match=why) as caught:
            Authority(KeySealer(gate.signer), believed).carry_out(order(*bundles))
        assert caught.value.code == "signer-refuses"
