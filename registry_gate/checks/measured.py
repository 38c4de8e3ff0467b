"""What the checks of behavioural tests share: finding their measurement, and saying when it did not look."""

from __future__ import annotations

from collections.abc import Callable

from registry_gate.evidence import BehaviourMeasurement, Evidence
from registry_gate.finding import CheckResult, Finding, Scalar, Status, concluded
from registry_gate.policy import Policy

VERSION = 1
_DID_NOT_LOOK = {
    "not_applicable": Status.NOT_APPLICABLE,
    "unavailable": Status.UNAVAILABLE,
    "error": Status.ERROR,
}

Judge = Callable[[BehaviourMeasurement, float, dict[str, float]], list[Finding]]
"""From a measurement, its statistic and the thresholds asked for to findings."""


def judged(
    name: str, evidence: Evidence, policy: Policy, thresholds: tuple[str, ...], judge: Judge
) -> CheckResult:
    """The result of a behavioural check: the test's own status, or what ``judge`` makes of its statistic.

    Args:
        name: of the check and of the test.
        evidence: with or without behaviour.
        policy: must hold every threshold named; the result is an error if it does not.
        thresholds: names in ``policy.thresholds``.
        judge: compares.
    """
    if evidence.behaviour is None:
        return _result(name, Status.NOT_RUN, "nothing was staged")
    test = next((item for item in evidence.behaviour.tests if item.test == name), None)
    if test is None:
        return _result(name, Status.ERROR, "the examination did not report this test")
    if test.status != "measured" or test.statistic is None:
        return _result(name, _DID_NOT_LOOK.get(test.status, Status.ERROR), test.reason[:500])
    absent = [key for key in thresholds if key not in policy.thresholds]
    if absent:
        return _result(name, Status.ERROR, f"the policy has no threshold {', '.join(absent)}")
    limits = {key: policy.thresholds[key] for key in thresholds}
    return concluded(name, VERSION, judge(test, test.statistic, limits), _measurements(test, limits))


def _result(name: str, status: Status, reason: str) -> CheckResult:
    return CheckResult(name=name, version=VERSION, status=status, reason=reason)


def _measurements(test: BehaviourMeasurement, limits: dict[str, float]) -> dict[str, Scalar]:
    """What a reader needs to judge the judgement: the statistic, the limits, what the test can see."""
    return {
        "statistic": test.statistic,
        "score": test.score,
        "p_value": test.p_value,
        "suspected_target": test.suspected_target,
        **limits,
        **test.details,
        "seed": test.seed,
        "device": test.device,
        "test_seconds": test.seconds,
        "assumption": test.reason or None,
        "power_note": test.power_note,
    }
