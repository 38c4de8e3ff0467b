"""decide(): the pure function from evidence and policy to a verdict."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from registry_gate.evidence import Evidence
from registry_gate.finding import CheckResult, Finding, Status
from registry_gate.policy import Bar, Disposition, Policy, Waiver
from registry_gate.record import Record
from registry_gate.self_test import SELF_TEST, unfit

_LOOKED = (Status.NO_FINDINGS, Status.FINDINGS)


class Verdict(StrEnum):
    """The three verdicts, from best to worst."""

    ADMIT = "admit"
    REVIEW = "review"
    REJECT = "reject"


_WORSE = {
    Disposition.ALLOW: Verdict.ADMIT,
    Disposition.REVIEW: Verdict.REVIEW,
    Disposition.REJECT: Verdict.REJECT,
}


class Reason(Record):
    """One thing that moved the verdict: a finding, or a required check that did not look."""

    code: str
    verdict: Verdict
    message: str
    waived_by: str | None = None


class Approval(Record):
    """One person's word that what needs review may pass; whose signature was verified before it came here.

    It speaks for one evidence record under one policy, until it expires; ``requester`` is who asked for the
    admission.
    """

    evidence_digest: str
    policy_digest: str
    approver: str
    requester: str | None
    reason: str
    issued_at: datetime
    expires_at: datetime


class Decision(Record):
    """The verdict on one evidence record under one policy at one time.

    ``approved_by`` names the person whose approval turned ``review`` into ``admit``.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    evidence_digest: str
    policy_name: str
    policy_digest: str
    decided_at: datetime
    approved_by: str | None = None


def decide(
    evidence: Evidence, policy: Policy, now: datetime, approvals: tuple[Approval, ...] = ()
) -> Decision:
    """Judge evidence under a policy. Pure: no I/O, no clock; more findings never give a better verdict.

    Args:
        evidence: the record with all check results in it.
        policy: the validated policy.
        now: aware time, for the expiry of waivers and approvals.
        approvals: verified ones; one of this very evidence turns ``review``, and never ``reject``, into
            ``admit``. Why one of this evidence does not count stands among the reasons, under a code that
            begins with ``approval-``.
    """
    reasons = [_finding_reason(item, evidence, policy, now) for item in _findings(evidence)]
    reasons += _missing_checks(evidence, policy)
    reasons += _self_test(evidence, policy)
    verdict = max(
        (r.verdict for r in reasons if not r.waived_by), key=list(Verdict).index, default=Verdict.ADMIT
    )
    moved = tuple(r for r in reasons if r.verdict is not Verdict.ADMIT)
    decision = Decision(
        verdict=verdict,
        reasons=moved,
        evidence_digest=evidence.digest(),
        policy_name=policy.name,
        policy_digest=policy.digest(),
        decided_at=now,
    )
    return _approved(decision, policy, approvals)


def _approved(decision: Decision, policy: Policy, approvals: tuple[Approval, ...]) -> Decision:
    if decision.verdict is not Verdict.REVIEW:
        return decision
    objections = []
    for approval in approvals:
        if approval.evidence_digest != decision.evidence_digest:
            continue  # of another examination
        objection = _objection(approval, decision, policy)
        if objection is None:
            return decision.model_copy(update={"verdict": Verdict.ADMIT, "approved_by": approval.approver})
        objections.append(objection)
    return decision.model_copy(update={"reasons": (*decision.reasons, *objections)})


def _objection(approval: Approval, decision: Decision, policy: Policy) -> Reason | None:
    """Why an approval of this evidence does not count; None if it does."""
    oldest = decision.decided_at - timedelta(days=policy.approval_days)
    someone_else = approval.requester is not None and approval.approver != approval.requester
    if approval.policy_digest != decision.policy_digest:
        code, detail = "approval-of-another-policy", "it was given under another policy"
    elif decision.decided_at < approval.issued_at:
        code, detail = "approval-from-the-future", f"it is dated {approval.issued_at.isoformat()}"
    elif decision.decided_at >= approval.expires_at:
        code, detail = "approval-expired", f"it counted until {approval.expires_at.isoformat()}"
    elif approval.issued_at < oldest:
        code, detail = "approval-too-old", f"the policy counts one for {policy.approval_days} days"
    elif policy.separate_approver and not someone_else:
        code, detail = "approval-by-requester", "the policy wants it from somebody who did not ask"
    else:
        return None
    message = f"the approval by {approval.approver} does not count: {detail}"
    return Reason(code=code, verdict=Verdict.REVIEW, message=message)


def disposition(finding: Finding, policy: Policy) -> Disposition:
    """What the policy makes of one finding: the rule's own override, else the bars it meets."""
    override = policy.rules.get(finding.rule)
    if override is not None:
        return override.disposition
    if _meets(finding, policy.reject):
        return Disposition.REJECT
    if _meets(finding, policy.review):
        return Disposition.REVIEW
    return Disposition.ALLOW


def _meets(finding: Finding, bar: Bar) -> bool:
    return finding.severity.rank >= bar.severity.rank and finding.confidence.rank >= bar.confidence.rank


def _findings(evidence: Evidence) -> list[Finding]:
    return [finding for result in evidence.results for finding in result.findings]


def _finding_reason(finding: Finding, evidence: Evidence, policy: Policy, now: datetime) -> Reason:
    waiver = _waiver(finding, evidence, policy, now)
    return Reason(
        code=finding.rule,
        verdict=_WORSE[disposition(finding, policy)],
        message=finding.message,
        waived_by=f"{waiver.owner} until {waiver.expires:%Y-%m-%d}: {waiver.reason}" if waiver else None,
    )


def _waiver(finding: Finding, evidence: Evidence, policy: Policy, now: datetime) -> Waiver | None:
    if evidence.listing is None:
        return None
    source = (evidence.candidate.endpoint, evidence.candidate.id, evidence.listing.commit)
    for waiver in policy.waivers:
        named = (waiver.endpoint, waiver.model, waiver.commit) == source
        if named and waiver.rule == finding.rule and now < waiver.expires:
            return waiver
    return None


def _missing_checks(evidence: Evidence, policy: Policy) -> list[Reason]:
    """Required checks that did not look; each keeps the verdict from being ``admit``."""
    results = {result.name: result for result in evidence.results}
    task = evidence.behaviour.structure.task if evidence.behaviour else None
    requirement = policy.task(task)
    required = dict.fromkeys(policy.required_checks, False)
    required |= {name: requirement.not_applicable_ok for name in requirement.required if name not in required}
    reasons = [
        _absent(name, results.get(name), not_applicable_ok)
        for name, not_applicable_ok in required.items()
        if name not in evidence.out_of_scope
    ]
    return [reason for reason in reasons if reason is not None]


def _self_test(evidence: Evidence, policy: Policy) -> list[Reason]:
    """An installation that is not known to work cannot admit, whoever approves."""
    if policy.self_test_days is None or SELF_TEST in evidence.out_of_scope:
        return []
    wanting = unfit(evidence.self_test, evidence.observed_at, policy.self_test_days)
    return [Reason(code=wanting.code, verdict=Verdict.REJECT, message=wanting.message)] if wanting else []


def _absent(name: str, result: CheckResult | None, not_applicable_ok: bool) -> Reason | None:
    if result is not None and result.status in _LOOKED:
        return None
    if result is not None and result.status is Status.NOT_APPLICABLE and not_applicable_ok:
        return None
    status = result.status.value if result else "missing"
    detail = f": {result.reason}" if result and result.reason else ""
    return Reason(
        code="required-check-did-not-look",
        verdict=Verdict.REVIEW,
        message=f"required check {name!r} is {status}{detail}",
    )
