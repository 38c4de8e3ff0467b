"""The fused score: do the behaviour tests together point at one class?"""

from __future__ import annotations

from registry_gate.backdoor.fusion import Fused, fuse
from registry_gate.checks.check import Check, Stage
from registry_gate.evidence import Behaviour, Evidence
from registry_gate.finding import (
    CheckResult,
    Confidence,
    Finding,
    Rule,
    Scalar,
    Severity,
    Status,
    concluded,
)
from registry_gate.policy import Policy

NAME = "backdoor-score"
VERSION = 1
_LIMITS = {
    "with-samples": ("backdoor-score", "backdoor-score-grey"),
    "without-samples": ("backdoor-score-no-samples", "backdoor-score-no-samples-grey"),
}
# Why nothing could be fused, from the gravest to the mildest.
_ABSENT = {
    "error": Status.ERROR,
    "unavailable": Status.UNAVAILABLE,
    "not_applicable": Status.NOT_APPLICABLE,
}

SUSPECTED = Rule(
    id="backdoor-suspected",
    title="Several tests together point at a planted class",
    severity=Severity.HIGH,
    help="One class is easier to reach from all others than any other class, in the way that planted "
    "triggers make it. Without clean samples, and in the grey zone, the severity is medium. Look at the "
    "inverted pattern in the report, ask where the training data came from, and test the named class with "
    "images of your own; do not deploy where someone gains from it.",
)


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """A finding where the score is at least the policy's limit for review."""
    if evidence.behaviour is None:
        return _result(Status.NOT_RUN, "nothing was staged")
    if policy.behaviour_fusion is None:
        return _result(Status.UNAVAILABLE, "the policy has no table of coefficients (behaviour_fusion)")
    fused = score(evidence.behaviour, policy)
    if isinstance(fused, str):
        return _result(_status(evidence.behaviour), fused)
    names = _LIMITS[fused.situation]
    absent = [name for name in names if name not in policy.thresholds]
    if absent:
        return _result(Status.ERROR, f"the policy has no threshold {', '.join(absent)}")
    limit, grey = (policy.thresholds[name] for name in names)
    return concluded(NAME, VERSION, _judge(fused, limit, grey), _measurements(fused, limit, grey))


def score(behaviour: Behaviour, policy: Policy) -> Fused | str:
    """The fused score of a behaviour examination, or the reason in words why there is none."""
    if policy.behaviour_fusion is None:
        return "the policy has no table of coefficients"
    measured = {test.test: test.per_class for test in behaviour.tests if test.status == "measured"}
    return fuse(measured, policy.behaviour_fusion)


def _status(behaviour: Behaviour) -> Status:
    """The gravest status of the tests, for a score that could not be made."""
    seen = {test.status for test in behaviour.tests}
    if seen <= {"not_applicable"}:
        return Status.NOT_APPLICABLE
    return next((status for name, status in _ABSENT.items() if name in seen), Status.ERROR)


def _judge(fused: Fused, limit: float, grey: float) -> list[Finding]:
    if fused.score < min(limit, grey):
        return []
    sure = fused.score >= limit and fused.situation == "with-samples"
    zone = (
        f"at or above {limit:g}" if fused.score >= limit else f"in the grey zone from {grey:g} to {limit:g}"
    )
    return [
        Finding(
            rule=SUSPECTED.id,
            severity=SUSPECTED.severity if sure else Severity.MEDIUM,
            confidence=Confidence.MEDIUM if fused.score >= limit else Confidence.LOW,
            message=f"{', '.join(fused.counted)} together point at class {fused.target}: score "
            f"{fused.score:.3f}, {zone} ({fused.situation.replace('-', ' ')})",
            score=fused.score,
        )
    ]


def _measurements(fused: Fused, limit: float, grey: float) -> dict[str, Scalar]:
    return {
        "statistic": round(fused.logit, 6),
        "score": round(fused.score, 6),
        "suspected_target": fused.target,
        "situation": fused.situation,
        "tests": ", ".join(fused.counted),
        "limit": limit,
        "limit_grey": grey,
        "power_note": "None found means: by these tests, which see one trigger that turns many classes into "
        "one target. Source-specific, all-to-all, warping and input-dependent triggers may all be missed.",
    }


def _result(status: Status, reason: str) -> CheckResult:
    return CheckResult(name=NAME, version=VERSION, status=status, reason=reason[:500])


CHECK = Check(name=NAME, version=VERSION, stage=Stage.BEHAVIOUR, rules=(SUSPECTED,), run=run)
