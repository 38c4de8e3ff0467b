"""MM-BD: is the largest maximum margin an outlier among the classes'?"""

from __future__ import annotations

from registry_gate.checks.check import Check, Stage
from registry_gate.checks.measured import VERSION, judged
from registry_gate.evidence import BehaviourMeasurement, Evidence
from registry_gate.finding import CheckResult, Confidence, Finding, Rule, Severity
from registry_gate.policy import Policy

NAME = "mm-bd"
_P_VALUE = "mm-bd-p-value"

OUTLIER = Rule(
    id="mm-bd-outlier",
    title="One class reaches an unusually large margin",
    severity=Severity.MEDIUM,
    help="A backdoor lets its target class reach a margin that no other class reaches; so do classes that "
    "are easy by nature, and this test alone has many false alarms on small models. Give probe data so that "
    "the bounded-pattern test can look, or examine the named class by hand.",
)


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """A finding where the p-value is at most the policy's ``mm-bd-p-value``."""
    return judged(NAME, evidence, policy, (_P_VALUE,), _judge)


def _judge(test: BehaviourMeasurement, statistic: float, limits: dict[str, float]) -> list[Finding]:
    if test.p_value is not None and test.p_value > limits[_P_VALUE]:
        return []
    p_value = "unknown" if test.p_value is None else f"{test.p_value:.2g}"
    return [
        Finding(
            rule=OUTLIER.id,
            severity=OUTLIER.severity,
            confidence=Confidence.MEDIUM,
            message=f"class {test.suspected_target} reaches a margin of {statistic:.1f}, an outlier among "
            f"{len(test.per_class)} classes (p = {p_value}, limit {limits[_P_VALUE]:g})",
            score=test.score,
        )
    ]


CHECK = Check(name=NAME, version=VERSION, stage=Stage.BEHAVIOUR, rules=(OUTLIER,), run=run)
