"""Does one output row of a final layer stand out from the others?

A backdoor that is trained into, or written over, one class or token often leaves its row of the final layer
larger than the rest, or shifted. Rows are compared by norm and by mean, robustly: the distance from the
median in median absolute deviations, which one row cannot move.
"""

from __future__ import annotations

from registry_gate.checks.check import Check, Stage
from registry_gate.evidence import Evidence, RowStatistics, TensorMeasurement
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
from registry_gate.layer_names import is_final_layer
from registry_gate.policy import Policy

NAME = "final-rows"
VERSION = 1
# Of normally distributed norms the median absolute deviation is 0.6745 standard deviations.
_TO_DEVIATIONS = 0.6745
_MIN_ROWS = 8
_DEFAULTS = {"row-distance": 15.0, "row-norm-ratio": 2.0}

OUTLIER = Rule(
    id="row-outlier",
    title="One output row of the final layer stands out",
    severity=Severity.LOW,
    help="The row of one class or token is far larger than the others, or shifted against them. Special "
    "tokens can look so; a planted class does too. Compare with an earlier revision, and test that class.",
)


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Judge every final layer that was measured by row; not applicable where there is none."""
    if evidence.staged is None:
        return CheckResult(name=NAME, version=VERSION, status=Status.NOT_RUN, reason="nothing was staged")
    measured = [(item, item.rows) for item in evidence.staged.tensors if is_final_layer(item.name)]
    layers = [(item, rows) for item, rows in measured if rows is not None]
    if not layers:
        reason = "no tensor has the name of a final layer"
        return CheckResult(name=NAME, version=VERSION, status=Status.NOT_APPLICABLE, reason=reason)
    limits = {name: policy.thresholds.get(name, value) for name, value in _DEFAULTS.items()}
    found = [_judged(tensor, rows, limits) for tensor, rows in layers]
    largest = max(_norm_distance(rows) for _, rows in layers)
    measurements: dict[str, Scalar] = {"layers": len(layers), "largest_row_distance": largest, **limits}
    return concluded(NAME, VERSION, [item for item in found if item is not None], measurements)


def _judged(tensor: TensorMeasurement, rows: RowStatistics, limits: dict[str, float]) -> Finding | None:
    if rows.count < _MIN_ROWS or not rows.largest:
        return None
    row, norm = rows.largest[0]
    distance = _norm_distance(rows)
    far = distance >= limits["row-distance"] and norm >= limits["row-norm-ratio"] * rows.median_norm
    if not far:
        return None
    message = (
        f"{tensor.name[:150]!r}: row {row} of {rows.count} has norm {norm:.4g}, "
        f"{distance:.3g} deviations from the median {rows.median_norm:.4g}"
    )
    return Finding(
        rule=OUTLIER.id,
        severity=OUTLIER.severity,
        confidence=Confidence.MEDIUM,
        message=message,
        location=Location(file=tensor.file, tensor=tensor.name),
    )


def _norm_distance(rows: RowStatistics) -> float:
    """How far the largest norm lies from the median, in deviations; equal rows count as nearly equal."""
    if not rows.largest:
        return 0.0
    spread = max(rows.norm_spread / _TO_DEVIATIONS, 1e-3 * rows.median_norm, 1e-30)
    return min((rows.largest[0][1] - rows.median_norm) / spread, 1e9)


CHECK = Check(name=NAME, version=VERSION, stage=Stage.TENSORS, rules=(OUTLIER,), run=run)
