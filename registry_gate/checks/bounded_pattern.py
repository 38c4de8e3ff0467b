"""Bounded pattern: does one small pattern turn every class into one target, and only into that one?"""

from __future__ import annotations

from registry_gate.checks.check import Check, Stage
from registry_gate.checks.measured import VERSION, judged
from registry_gate.evidence import BehaviourMeasurement, Evidence
from registry_gate.finding import CheckResult, Confidence, Finding, Rule, Severity
from registry_gate.policy import Policy

NAME = "bounded-pattern"
_GAP, _GREY = "bounded-pattern-gap", "bounded-pattern-gap-grey"

SHORTCUT = Rule(
    id="bounded-pattern-shortcut",
    title="A small pattern turns other classes into one target",
    severity=Severity.HIGH,
    help="One class can be reached from all others by a pattern much smaller than any other class needs, as "
    "a planted trigger makes it. In the grey zone the severity is medium. Ask where the training data came "
    "from, or examine the named class with images of your own; do not deploy where someone gains from it.",
)


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """A high finding above the policy's gap, a medium one of low confidence in its grey zone."""
    return judged(NAME, evidence, policy, (_GAP, _GREY), _judge)


def _judge(test: BehaviourMeasurement, statistic: float, limits: dict[str, float]) -> list[Finding]:
    if statistic < min(limits[_GREY], limits[_GAP]):
        return []
    grey = statistic < limits[_GAP]
    zone = f"in the grey zone from {limits[_GREY]:g} to" if grey else "at or above the limit of"
    smallest = f"{min(test.per_class):.2f}" if test.per_class else "unknown"
    return [
        Finding(
            rule=SHORTCUT.id,
            severity=Severity.MEDIUM if grey else SHORTCUT.severity,
            confidence=Confidence.LOW if grey else Confidence.MEDIUM,
            message=f"a pattern of norm {smallest} turns most images of other classes into class "
            f"{test.suspected_target}: gap {statistic:.3f}, {zone} {limits[_GAP]:g}",
            score=test.score,
        )
    ]


CHECK = Check(name=NAME, version=VERSION, stage=Stage.BEHAVIOUR, rules=(SHORTCUT,), run=run)
