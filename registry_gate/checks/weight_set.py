"""Is there one set of weights to carry, and is what was staged exactly what was read?"""

from __future__ import annotations

from registry_gate.checks.check import Check, Stage
from registry_gate.evidence import Evidence, Problem, TensorMeasurement, WeightSet
from registry_gate.finding import (
    CheckResult,
    Confidence,
    Finding,
    Location,
    Rule,
    Scalar,
    Severity,
    Status,
    concluded,
)
from registry_gate.policy import Policy

NAME = "weight-set"
VERSION = 1
_STAGING = frozenset({"bytes-changed", "bad-copy-plan"})
_SHOWN = 20

NO_WEIGHTS = Rule(
    id="no-weights",
    title="There are no weights",
    severity=Severity.HIGH,
    help="Nothing that could be judged was found: zero tensors are no model. Check the id and the revision; "
    "an adapter or a configuration alone is not admitted.",
)
COPY_DIFFERS = Rule(
    id="copy-differs",
    title="A staged tensor differs from its source",
    severity=Severity.CRITICAL,
    help="The digests on the two sides of the conversion must be equal. Something changed the bytes on the "
    "way: suspect the disk or another process, and do not use the result.",
)
STAGING_REFUSED = Rule(
    id="staging-refused",
    title="The conversion was refused",
    severity=Severity.CRITICAL,
    help="A source changed after it was downloaded, or the copy plan of a reader broke a bound that "
    "honest files keep. Treat the file as hostile.",
)


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Findings for absent weights, refused staging and differing digests; leftovers are recorded."""
    del policy
    chosen = evidence.weight_set
    if chosen is None:
        return CheckResult(name=NAME, version=VERSION, status=Status.NOT_RUN, reason="no files were read")
    findings = [_no_weights(problem) for problem in chosen.problems if problem.code == NO_WEIGHTS.id]
    findings += [_refused(problem) for problem in evidence.refusals if problem.code in _STAGING]
    tensors = evidence.staged.tensors if evidence.staged else ()
    findings += [_differs(item) for item in tensors if item.source_digest != item.staged_digest][:_SHOWN]
    if not chosen.plans and not findings:
        why = "weights are there that cannot be staged: " + "; ".join(p.detail for p in chosen.problems)
        return CheckResult(name=NAME, version=VERSION, status=Status.UNAVAILABLE, reason=why[:500])
    return concluded(NAME, VERSION, findings, _measurements(chosen, len(tensors)))


def _measurements(chosen: WeightSet, tensors: int) -> dict[str, Scalar]:
    left = ", ".join(repr(path[:80]) for path, _ in chosen.left_behind[:_SHOWN])
    return {
        "sources": ", ".join(repr(plan.source[:80]) for plan in chosen.plans[:_SHOWN]),
        "weight_files": len(chosen.plans),
        "tensors": tensors,
        "carried": len(chosen.carried),
        "left_behind": len(chosen.left_behind),
        "left_behind_first": left,
    }


def _no_weights(problem: Problem) -> Finding:
    return _finding(NO_WEIGHTS, problem.detail[:300], Location(file=problem.field))


def _refused(problem: Problem) -> Finding:
    return _finding(STAGING_REFUSED, f"{problem.code}: {problem.detail}"[:400], Location(file=problem.member))


def _differs(tensor: TensorMeasurement) -> Finding:
    message = f"{tensor.name[:150]!r}: source {tensor.source_digest[:23]}, staged {tensor.staged_digest[:23]}"
    return _finding(COPY_DIFFERS, message, Location(file=tensor.file, tensor=tensor.name))


def _finding(rule: Rule, message: str, location: Location) -> Finding:
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        confidence=Confidence.HIGH,
        message=message,
        location=location,
    )


CHECK = Check(
    name=NAME,
    version=VERSION,
    stage=Stage.TENSORS,
    rules=(NO_WEIGHTS, COPY_DIFFERS, STAGING_REFUSED),
    run=run,
)
