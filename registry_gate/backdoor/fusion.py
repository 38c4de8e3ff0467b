"""One score out of several tests: a logistic function of few coefficients, fitted on a bank of models.

Each test gives one number a class, larger meaning more suspicious. A class's value is how far it lies above
the median of the other classes; the coefficients' sum over the tests is the class's logit, and the model's
score is that of its most suspicious class. So tests that point at different classes do not add up, and the
suspected target belongs to the score. Coefficients are not negative: more suspicion never lowers a score.

Plain numbers only: a stored admission can be scored again under other coefficients.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from pydantic import Field

from registry_gate.record import Record

_FEWEST_CLASSES = 3


class Weights(Record):
    """Coefficients by test for one situation.

    ``required`` tests must have measured; others count where they did. A class's value is cut at ``cap``
    times the test's ``scales`` on either side, so that no single test decides.
    """

    intercept: float
    coefficients: dict[str, float] = Field(min_length=1)
    scales: dict[str, float]
    required: tuple[str, ...]
    cap: float = Field(gt=0)


class Baseline(Record):
    """Mean entropies of clean images under overlays, over clean models of one class, as shares of log2 K."""

    mean: float
    std: float
    models: int


class Fusion(Record):
    """Coefficients with samples and without, STRIP's entropy baselines, and where they come from."""

    dated: str
    made_by: str
    with_samples: Weights
    without_samples: Weights
    entropy_baselines: dict[str, Baseline] = {}


class Fused(Record):
    """The score in [0, 1], its logit, the suspected target, each class's logit, the tests that counted."""

    score: float
    logit: float
    target: int
    per_class: tuple[float, ...]
    counted: tuple[str, ...]
    situation: str


def _large(value: float) -> float:
    return math.log(max(value, 1e-3))


def _small(value: float) -> float:
    return -math.log(max(value, 1e-4))


def _plain(value: float) -> float:
    return value


# How each test's numbers become "larger is more suspicious", comparable by difference.
_VIEWS = {
    "bounded-pattern": _small,
    "margin-gain": _large,
    "mask-pattern": _small,
    "mm-bd": _large,
    "impression-pattern": _small,
    "impression-gain": _large,
    "final-layer": _plain,
}


def values(test: str, per_class: tuple[float, ...]) -> tuple[float, ...]:
    """How far each class lies above the median of the other classes, in the test's own view.

    Args:
        test: a name in the table of views.
        per_class: the test's numbers, three or more.

    Raises:
        ValueError: an unknown test, too few classes, or numbers that are not finite.
    """
    if test not in _VIEWS or len(per_class) < _FEWEST_CLASSES or not all(map(math.isfinite, per_class)):
        raise ValueError(f"{test!r} has no values to compare among {len(per_class)} classes")
    seen = [_VIEWS[test](value) for value in per_class]
    return tuple(
        value - statistics.median(seen[:place] + seen[place + 1 :]) for place, value in enumerate(seen)
    )


def fuse(measured: Mapping[str, tuple[float, ...]], fusion: Fusion) -> Fused | str:
    """The fused score of a model.

    Args:
        measured: numbers a class by test, of the tests that measured every class.
        fusion: coefficients; those with samples are taken where all that they require is there.

    Returns:
        The score, or the reason in words why there is none.
    """
    for situation, weights in (
        ("with-samples", fusion.with_samples),
        ("without-samples", fusion.without_samples),
    ):
        if all(test in measured for test in weights.required):
            return _fuse(measured, weights, situation)
    missing = [test for test in fusion.without_samples.required if test not in measured]
    return f"the score needs {', '.join(missing)}, which did not measure"


def _fuse(measured: Mapping[str, tuple[float, ...]], weights: Weights, situation: str) -> Fused | str:
    classes = {len(measured[test]) for test in weights.required}
    if len(classes) != 1 or min(classes) < _FEWEST_CLASSES:
        return f"the score compares the same three or more classes in every test, not {sorted(classes)}"
    count = classes.pop()
    counted = tuple(
        test for test in weights.coefficients if test in measured and len(measured[test]) == count
    )
    try:
        columns = {test: values(test, measured[test]) for test in counted}
    except ValueError as error:
        return str(error)
    logits = []
    for label in range(count):
        parts = [
            weights.coefficients[test] * _cut(columns[test][label] / weights.scales[test], weights.cap)
            for test in counted
        ]
        logits.append(weights.intercept + math.fsum(parts))
    target = max(range(count), key=logits.__getitem__)
    return Fused(
        score=1 / (1 + math.exp(-max(-60.0, min(60.0, logits[target])))),
        logit=logits[target],
        target=target,
        per_class=tuple(logits),
        counted=counted,
        situation=situation,
    )


def _cut(value: float, cap: float) -> float:
    return max(-cap, min(cap, value))
