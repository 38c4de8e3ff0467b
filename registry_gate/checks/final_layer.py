"""Final layer: does the mean of one class's output row stand out, on the model as it was built?"""

from __future__ import annotations

from registry_gate.checks.check import Check, Stage
from registry_gate.checks.measured import VERSION, judged
from registry_gate.evidence import BehaviourMeasurement, Evidence
from registry_gate.finding import CheckResult, Confidence, Finding, Rule, Severity
from registry_gate.policy import Policy

NAME = "final-layer"
_DEVIATIONS = "final-layer-deviations"

SHIFTED = Rule(
    id="final-layer-shifted-row",
    title="One class's output row is shifted against the others",
    severity=Severity.MEDIUM,
    help="The mean weight of one class's row of the final layer lies far above the other rows', as planting "
    "a class can leave it. Weak alone: classes that are frequent or easy look so too. Give probe data, so "
    "that the inversion tests can look at that class.",
)


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """A finding of low confidence where the furthest row mean is at least the policy's limit."""
    return judged(NAME, evidence, policy, (_DEVIATIONS,), _judge)


def _judge(test: BehaviourMeasurement, statistic: float, limits: dict[str, float]) -> list[Finding]:
    if statistic < limits[_DEVIATIONS]:
        return []
    return [
        Finding(
            rule=SHIFTED.id,
            severity=SHIFTED.severity,
            confidence=Confidence.LOW,
            message=f"the row of class {test.suspected_target} has a mean {statistic:.1f} robust deviations "
            f"above the median row (limit {limits[_DEVIATIONS]:g})",
            score=test.score,
        )
    ]


CHECK = Check(name=NAME, version=VERSION, stage=Stage.BEHAVIOUR, rules=(SHIFTED,), run=run)
