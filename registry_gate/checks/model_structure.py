"""Do the staged tensors fill the library class that ``config.json`` selects, exactly?"""

from __future__ import annotations

from registry_gate.checks.check import Check, Stage
from registry_gate.evidence import Evidence, Structure
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

NAME = "model-structure"
VERSION = 1

MISSING = Rule(
    id="tensors-missing",
    title="Tensors that the model class needs are missing",
    severity=Severity.MEDIUM,
    help="The library would fill them with random values, so what loads is not what its authors trained and "
    "what was examined. Ask the publisher for complete weights.",
)
UNEXPECTED = Rule(
    id="tensors-unexpected",
    title="Tensors that the model class does not use",
    severity=Severity.MEDIUM,
    help="The library would drop them silently; they may be left over from training, or carry something "
    "else. Look at their names, or have the publisher save the model again.",
)
MISMATCHED = Rule(
    id="tensors-mismatched",
    title="Tensor shapes differ from the model class",
    severity=Severity.HIGH,
    help="Weights and config.json do not belong together: one of them was exchanged or damaged. Do not load.",
)
_DID_NOT_LOOK = {"not_applicable": Status.NOT_APPLICABLE, "error": Status.ERROR}


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Turn differences of names and shapes into findings."""
    del policy
    if evidence.behaviour is None:
        return CheckResult(name=NAME, version=VERSION, status=Status.NOT_RUN, reason="nothing was staged")
    structure = evidence.behaviour.structure
    if structure.status != "measured":
        status = _DID_NOT_LOOK.get(structure.status, Status.ERROR)
        return CheckResult(name=NAME, version=VERSION, status=status, reason=structure.reason[:500])
    return concluded(
        NAME,
        VERSION,
        _findings(structure),
        {
            "library_class": structure.library_class,
            "task": structure.task,
            "num_labels": structure.num_labels,
            "missing": len(structure.missing),
            "unexpected": len(structure.unexpected),
            "mismatched": len(structure.mismatched),
        },
    )


def _findings(structure: Structure) -> list[Finding]:
    found = (
        (MISSING, structure.missing, "the class needs and the weights lack"),
        (UNEXPECTED, structure.unexpected, "the class does not use"),
        (MISMATCHED, structure.mismatched, "have other shapes than the class (staged, class)"),
    )
    return [_finding(rule, names, what, structure) for rule, names, what in found if names]


def _finding(rule: Rule, names: tuple[str, ...], what: str, structure: Structure) -> Finding:
    shown = ", ".join(repr(name[:80]) for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        confidence=Confidence.HIGH,
        message=f"{structure.library_class!r}: {len(names)} tensors {what}: {shown}{more}",
        location=Location(tensor=names[0][:200]),
    )


CHECK = Check(
    name=NAME,
    version=VERSION,
    stage=Stage.BEHAVIOUR,
    rules=(MISSING, UNEXPECTED, MISMATCHED),
    run=run,
)
