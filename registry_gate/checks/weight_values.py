"""Do the numbers in the weights look like those of a trained model, tensor by tensor?

Spread and extremes come from the staging pass. A tensor is compared with itself (how far is its largest value
from the rest, measured without that value) and with its siblings, the tensors of one name in other layers.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median

from registry_gate.checks.check import Check, Stage
from registry_gate.evidence import Evidence, Staged, TensorMeasurement
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

NAME = "weight-values"
VERSION = 1
_SHOWN = 20
_FLOATS = ("F", "BF")
_MIN_ELEMENTS = 16
_MIN_SIBLINGS = 3
_ROLE = re.compile(r"\d+")

# Trained transformers reach a few hundred by the first measure in embeddings and projections (outlier
# features); a single planted value reaches thousands. Policies may set their own under these names.
_DEFAULTS = {"magnitude-spread": 1000.0, "magnitude-siblings": 50.0}

NOT_JUDGED = Rule(
    id="tensors-not-judged",
    title="Some tensors were not judged",
    severity=Severity.HIGH,
    help="As many tensors must be measured as the header names, and every element of each. What was not "
    "looked at is not fine. Report this as a fault of the gate.",
)
NON_FINITE = Rule(
    id="non-finite-weights",
    title="Weights hold NaN or infinity",
    severity=Severity.HIGH,
    help="The model is broken or was made so: NaN spreads through every result and slips through "
    "comparisons. Attention masks of zeros and minus infinity are not meant.",
)
OUTLIER = Rule(
    id="magnitude-outlier",
    title="A weight is far larger than its surroundings",
    severity=Severity.MEDIUM,
    help="A value a thousand times its tensor's spread, or a tensor many times larger than the same tensor "
    "in other layers, is how a planted or damaged weight looks. Compare with other revisions.",
)
DEAD = Rule(
    id="dead-tensor",
    title="A weight matrix is all zeros",
    severity=Severity.LOW,
    help="The matrix does nothing; it was never trained, or was cut. Recorded for whoever compares models.",
)
CONSTANT = Rule(
    id="constant-tensor",
    title="A weight matrix holds one value only",
    severity=Severity.LOW,
    help="The matrix was never trained, or was overwritten. Recorded for whoever compares models.",
)


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Judge every staged tensor; not run where nothing was staged."""
    staged, chosen = evidence.staged, evidence.weight_set
    if staged is None or chosen is None:
        return CheckResult(name=NAME, version=VERSION, status=Status.NOT_RUN, reason="nothing was staged")
    stated = {(plan.target, tensor.name, tensor.shape) for plan in chosen.plans for tensor in plan.tensors}
    limits = {name: policy.thresholds.get(name, value) for name, value in _DEFAULTS.items()}
    findings = [
        *_not_judged(staged, stated),
        *_cut(_non_finite(item) for item in staged.tensors),
        *_cut(_outliers(staged.tensors, limits)),
        *_cut(_lifeless(item) for item in staged.tensors),
    ]
    return concluded(NAME, VERSION, findings, {**_measurements(staged, len(stated)), **limits})


def _not_judged(staged: Staged, stated: set[tuple[str, str, tuple[int, ...]]]) -> list[Finding]:
    judged = {
        (item.file, item.name, item.shape)
        for item in staged.tensors
        if item.elements == math.prod(item.shape)
    }
    if judged == stated and len(staged.tensors) == len(stated) and stated:
        return []
    message = f"{len(judged & stated)} of {len(stated)} tensors were measured in full"
    return [_finding(NOT_JUDGED, NOT_JUDGED.severity, Confidence.HIGH, message, None)]


def _non_finite(tensor: TensorMeasurement) -> Finding | None:
    if not tensor.nan and not tensor.inf:
        return None
    if _is_mask(tensor):
        return None
    message = (
        f"{tensor.name[:150]!r}: {tensor.nan} NaN and {tensor.inf} infinite of {tensor.elements} elements"
    )
    return _finding(NON_FINITE, NON_FINITE.severity, Confidence.HIGH, message, tensor)


def _is_mask(tensor: TensorMeasurement) -> bool:
    """True for an additive attention mask, named as one: zeros and infinities, nothing else."""
    only = not tensor.nan and tensor.inf + tensor.zeros == tensor.elements
    return only and tensor.zeros > 0 and "mask" in tensor.name.lower()


def _outliers(tensors: Sequence[TensorMeasurement], limits: dict[str, float]) -> Iterable[Finding | None]:
    """LOW for one sign, the rule's severity for both, or for the first alone where siblings are missing."""
    siblings: dict[tuple[str, str], list[float]] = defaultdict(list)
    for tensor in filter(_weighs, tensors):
        siblings[_role(tensor)].append(_magnitude(tensor))
    for tensor in filter(_weighs, tensors):
        others = siblings[_role(tensor)]
        usual = median(others) if len(others) >= _MIN_SIBLINGS else None
        own = _own_distance(tensor)
        ratio = _magnitude(tensor) / usual if usual else None
        alone = own >= limits["magnitude-spread"]
        apart = ratio is not None and ratio >= limits["magnitude-siblings"]
        if alone or apart:
            both = alone and (apart or ratio is None) and _is_matrix(tensor)
            yield _outlier(tensor, own, ratio, both)


def _outlier(tensor: TensorMeasurement, own: float, ratio: float | None, both: bool) -> Finding:
    apart = "" if ratio is None else f", {ratio:.3g} times the median of its siblings"
    message = (
        f"{tensor.name[:150]!r}: largest magnitude {_magnitude(tensor):.4g}, "
        f"{own:.3g} times the spread of the rest{apart}"
    )
    severity = OUTLIER.severity if both else Severity.LOW
    return _finding(OUTLIER, severity, Confidence.MEDIUM, message, tensor)


def _lifeless(tensor: TensorMeasurement) -> Finding | None:
    if not (_weighs(tensor) and _is_matrix(tensor)):
        return None
    if tensor.zeros == tensor.elements:
        message = f"{tensor.name[:150]!r} of shape {tensor.shape[:8]} is all zeros"
        return _finding(DEAD, DEAD.severity, Confidence.HIGH, message, tensor)
    if tensor.minimum == tensor.maximum and not tensor.inf and not tensor.nan:
        message = f"{tensor.name[:150]!r} of shape {tensor.shape[:8]} holds {tensor.minimum} only"
        return _finding(CONSTANT, CONSTANT.severity, Confidence.HIGH, message, tensor)
    return None


def _weighs(tensor: TensorMeasurement) -> bool:
    """True for real-valued tensors with enough finite elements to have a spread; indices and masks do not."""
    return (
        tensor.dtype.startswith(_FLOATS)
        and tensor.elements >= _MIN_ELEMENTS
        and tensor.minimum is not None
        and not tensor.name.endswith(("running_mean", "running_var"))
    )


def _is_matrix(tensor: TensorMeasurement) -> bool:
    return sum(size > 1 for size in tensor.shape) >= 2


def _role(tensor: TensorMeasurement) -> tuple[str, str]:
    """Siblings share a name but for the numbers in it, and the kind."""
    return _ROLE.sub("#", tensor.name), tensor.dtype


def _magnitude(tensor: TensorMeasurement) -> float:
    return max(abs(tensor.minimum or 0.0), abs(tensor.maximum or 0.0))


def _own_distance(tensor: TensorMeasurement) -> float:
    """How far the extreme lies from the mean, in standard deviations of the elements without it.

    The extreme itself is taken out, because one planted value swells the deviation: with it in, no value of n
    can lie further than sqrt(n - 1) deviations away.
    """
    if tensor.mean is None or tensor.std is None:  # beyond float64: as far as can be
        return math.inf
    count = tensor.elements - tensor.nan - tensor.inf
    low, high = tensor.minimum or 0.0, tensor.maximum or 0.0
    away = max(high - tensor.mean, tensor.mean - low)
    if count < 2 or away == 0:
        return 0.0
    rest = (tensor.std**2 - away**2 / (count - 1)) * count / (count - 1)
    floor = (away * 1e-9) ** 2 + 1e-300  # rounding may leave less than nothing
    return min((away * count / (count - 1)) / math.sqrt(max(rest, floor)), 1e9)


def _measurements(staged: Staged, stated: int) -> dict[str, Scalar]:
    return {
        "tensors_stated": stated,
        "tensors_judged": len(staged.tensors),
        "elements": sum(item.elements for item in staged.tensors),
        "nan": sum(item.nan for item in staged.tensors),
        "inf": sum(item.inf for item in staged.tensors),
        "largest_magnitude": max((_magnitude(item) for item in staged.tensors), default=None),
    }


def _cut(found: Iterable[Finding | None]) -> list[Finding]:
    """The gravest findings first, at most 20 of them; the last one says how many were left out."""
    findings = [item for item in found if item is not None]
    findings.sort(key=lambda item: -item.severity.rank)
    more = len(findings) - _SHOWN
    if more <= 0:
        return findings
    last = findings[_SHOWN - 1]
    findings[_SHOWN - 1] = last.model_copy(
        update={"message": f"{last.message}; and {more} more such tensors"}
    )
    return findings[:_SHOWN]


def _finding(
    rule: Rule, severity: Severity, confidence: Confidence, message: str, tensor: TensorMeasurement | None
) -> Finding:
    return Finding(
        rule=rule.id,
        severity=severity,
        confidence=confidence,
        message=message,
        location=Location(file=tensor.file, tensor=tensor.name) if tensor else Location(),
    )


CHECK = Check(
    name=NAME,
    version=VERSION,
    stage=Stage.TENSORS,
    rules=(NOT_JUDGED, NON_FINITE, OUTLIER, DEAD, CONSTANT),
    run=run,
)
