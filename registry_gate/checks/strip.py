"""STRIP: do inputs keep their class, with low entropy, whatever is laid over them?"""

from __future__ import annotations

from registry_gate.checks.check import Check, Stage
from registry_gate.checks.measured import VERSION, judged
from registry_gate.evidence import BehaviourMeasurement, Evidence
from registry_gate.finding import CheckResult, Confidence, Finding, Rule, Scalar, Severity
from registry_gate.policy import Policy

NAME = "strip"
_RATE, _SHARE = "strip-false-rejection-rate", "strip-flagged-share"

LOW_ENTROPY = Rule(
    id="strip-low-entropy",
    title="Inputs keep their class under every overlay",
    severity=Severity.MEDIUM,
    help="Either the probe images or images stamped with the suspected pattern keep their class with "
    "unusually low entropy, as inputs that carry a trigger do. Look at the probe images and at the class. "
    "STRIP judges inputs: read its power note before concluding anything from its silence.",
)


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """A finding where at least the policy's ``strip-flagged-share`` of the inputs fall under the boundary."""
    result = judged(NAME, evidence, policy, (_RATE, _SHARE), _judge)
    compared = _against_baseline(evidence, policy, result)
    return result.model_copy(update={"measurements": result.measurements | compared})


def _against_baseline(evidence: Evidence, policy: Policy, result: CheckResult) -> dict[str, Scalar]:
    """The model's clean entropy beside those of clean models of its class, where some are known."""
    share = result.measurements.get("clean_entropy_share_of_log2_classes")
    name = evidence.behaviour.structure.library_class if evidence.behaviour else None
    known = policy.behaviour_fusion.entropy_baselines.get(name or "") if policy.behaviour_fusion else None
    if known is None or not isinstance(share, float):
        return {}
    return {
        "baseline_entropy_share": known.mean,
        "baseline_models": known.models,
        "deviations_from_baseline": round((share - known.mean) / max(known.std, 1e-3), 2),
    }


def _judge(test: BehaviourMeasurement, statistic: float, limits: dict[str, float]) -> list[Finding]:
    if statistic < limits[_SHARE]:
        return []
    return [
        Finding(
            rule=LOW_ENTROPY.id,
            severity=LOW_ENTROPY.severity,
            confidence=Confidence.MEDIUM,
            message=f"{statistic:.0%} of inputs keep their class under overlays with low entropy "
            f"(limit {limits[_SHARE]:.0%}, false rejection rate {limits[_RATE]:g}); "
            f"suspected class {test.suspected_target}",
            score=test.score,
        )
    ]


CHECK = Check(name=NAME, version=VERSION, stage=Stage.BEHAVIOUR, rules=(LOW_ENTROPY,), run=run)
