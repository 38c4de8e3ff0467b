"""Do the lowest mantissa bits of a tensor look like a file that was hidden there?

The statistic, and what it cannot see, stands in ``weights/low_bits.py``: near 1 for what training leaves,
about 17 for text. Weights that were quantised and scaled back take few values and may exceed the limit
without any payload, which is why the finding is only recorded.
"""

from __future__ import annotations

from registry_gate.checks.check import Check, Stage
from registry_gate.evidence import Evidence
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

NAME = "low-bits"
VERSION = 1
_SHOWN = 20
_DEFAULT = 1.5

PAYLOAD = Rule(
    id="low-bits-payload",
    title="The lowest bits of a tensor look like data of another kind",
    severity=Severity.LOW,
    help="The lowest bits of trained floats are spread evenly; here some values are far too frequent, as in "
    "text or code hidden there. Weights scaled back from few levels look so too. Bits run nothing: look "
    "for the program that would read them. Encrypted payloads cannot be seen this way.",
)


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Judge every tensor with enough elements; not applicable where there is none."""
    if evidence.staged is None:
        return CheckResult(name=NAME, version=VERSION, status=Status.NOT_RUN, reason="nothing was staged")
    judged = [(item, item.low_bits) for item in evidence.staged.tensors if item.low_bits is not None]
    if not judged:
        reason = "no tensor of floats has enough elements"
        return CheckResult(name=NAME, version=VERSION, status=Status.NOT_APPLICABLE, reason=reason)
    limit = policy.thresholds.get("low-bits-coincidence", _DEFAULT)
    above = sorted(((tensor, value) for tensor, value in judged if value >= limit), key=lambda pair: -pair[1])
    findings = [
        Finding(
            rule=PAYLOAD.id,
            severity=PAYLOAD.severity,
            confidence=Confidence.LOW,
            message=f"{tensor.name[:150]!r}: lowest bits agree {value:.3g} times as often as even ones would",
            location=Location(file=tensor.file, tensor=tensor.name),
        )
        for tensor, value in above[:_SHOWN]
    ]
    return concluded(
        NAME,
        VERSION,
        findings,
        {
            "tensors": len(judged),
            "above": len(above),
            "largest_coincidence": max(value for _, value in judged),
            "low-bits-coincidence": limit,
        },
    )


CHECK = Check(name=NAME, version=VERSION, stage=Stage.TENSORS, rules=(PAYLOAD,), run=run)
