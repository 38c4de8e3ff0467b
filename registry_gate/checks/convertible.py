"""Can the weights be converted by copying alone? Asked by ``admit`` only: ``scan`` judges safety."""

from __future__ import annotations

from registry_gate.checks.check import Check, Stage
from registry_gate.evidence import Evidence, Problem
from registry_gate.finding import (
    CheckResult,
    Confidence,
    Finding,
    Location,
    Rule,
    Severity,
    Status,
    concluded,
)
from registry_gate.policy import Policy

NAME = "convertible"
VERSION = 1

NOT_CONVERTIBLE = Rule(
    id="not-convertible",
    title="The weights cannot be converted to safetensors",
    severity=Severity.HIGH,
    help="safetensors files and torch checkpoints (zip, legacy, sharded) of dense tensors are converted: "
    "by copying bytes, never by loading them. Ask the publisher for safetensors, or save the model again "
    "with safe_serialization and admit that.",
)


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """One finding for each reason why no set of weights can be staged."""
    del policy
    chosen = evidence.weight_set
    if chosen is None:
        return CheckResult(name=NAME, version=VERSION, status=Status.NOT_RUN, reason="no files were read")
    problems = [problem for problem in chosen.problems if problem.code == NOT_CONVERTIBLE.id]
    tensors = sum(len(plan.tensors) for plan in chosen.plans)
    return concluded(NAME, VERSION, [_finding(problem) for problem in problems], {"tensors": tensors})


def _finding(problem: Problem) -> Finding:
    return Finding(
        rule=NOT_CONVERTIBLE.id,
        severity=NOT_CONVERTIBLE.severity,
        confidence=Confidence.HIGH,
        message=problem.detail[:400],
        location=Location(file=problem.field),
    )


CHECK = Check(name=NAME, version=VERSION, stage=Stage.TENSORS, rules=(NOT_CONVERTIBLE,), run=run)
