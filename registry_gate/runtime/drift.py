"""Does a model still answer as it did? Class frequencies against a baseline, and classes that surge.

Sources: Pearson's chi-square test of homogeneity; the population stability index of credit scoring, whose
usual reading calls 0.2 a shift; exact binomial tails for windows, with Bonferroni's correction over windows
and classes.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from registry_gate.errors import UsageError
from registry_gate.finding import Confidence, Finding, Severity
from registry_gate.record import Record
from registry_gate.release import Digest
from registry_gate.runtime.predictions import Prediction

ALPHA = 0.001
"""Chance of calling drift or a surge where there is none, for each of the two tests."""
PSI_SHIFT = 0.2
MIN_PREDICTIONS = 100
_SMOOTHING = 0.5  # added to every count, so that a class never seen before does not divide by zero
_MAX_BASELINE = 16 << 20


class Baseline(Record):
    """How often each class was answered, over ``total`` predictions of this model on ordinary inputs."""

    version: Literal[1] = 1
    model: Digest
    counts: dict[str, int] = Field(min_length=1)

    @property
    def total(self) -> int:
        """Predictions counted."""
        return sum(self.counts.values())


class Surge(Record):
    """A window of ``size`` predictions from number ``start`` on that answered one class too often."""

    label: str
    start: int
    size: int
    count: int
    expected: float
    p_value: float


class Drift(Record):
    """What was compared and what came of it. ``p_value`` and ``psi`` compare all classes at once."""

    predictions: int
    unlabelled: int
    chi_square: float
    p_value: float
    psi: float
    surges: tuple[Surge, ...]
    findings: tuple[Finding, ...]


def read_baseline(path: Path) -> Baseline:
    """Read a baseline file.

    Raises:
        UsageError: ``bad-baseline``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BASELINE + 1)
        baseline = Baseline.from_json(data)
        if len(data) > _MAX_BASELINE or min(baseline.counts.values()) < 0 or not baseline.total:
            raise ValueError("its counts are not counts")
    except (OSError, ValidationError, ValueError) as error:
        detail = str(error).splitlines()[0]
        raise UsageError("bad-baseline", f"{path} cannot be used: {detail[:200]}") from error
    return baseline


def baseline_of(predictions: Iterable[Prediction]) -> Baseline:
    """Count the classes of a stretch of log that is known to be ordinary.

    Raises:
        UsageError: ``mixed-models``, ``too-few-predictions``.
    """
    models: set[str] = set()
    counts: Counter[str] = Counter()
    for prediction in predictions:
        models.add(prediction.model)
        counts.update([prediction.label] if prediction.label is not None else [])
    if len(models) > 1:
        raise UsageError("mixed-models", "the log is of more than one model", todo="cut it at the change")
    _require_enough(counts.total())
    return Baseline(model=models.pop(), counts=dict(sorted(counts.items())))


def measure(predictions: Iterable[Prediction], baseline: Baseline, window: int = 200) -> Drift:
    """Compare the answers of a log with a baseline.

    Args:
        predictions: in the order they were given; one class each, those that name none are counted apart.
        baseline: of the same model.
        window: predictions a window, in which a surge of one class is looked for.

    Raises:
        UsageError: ``too-few-predictions``: nothing can be said, which is not the same as no drift.
    """
    labels: list[str] = []
    unlabelled, strangers = 0, Counter[str]()
    for prediction in predictions:
        if prediction.model != baseline.model:
            strangers[prediction.model] += 1
        elif prediction.label is None:
            unlabelled += 1
        else:
            labels.append(prediction.label)
    findings = _strangers(strangers)
    if not findings:
        _require_enough(len(labels))
    seen = Counter(labels)
    chi_square, p_value, psi = compare(baseline.counts, seen)
    surges = find_surges(labels, baseline, window)
    findings += _findings(len(labels), p_value, psi, surges)
    return Drift(
        predictions=len(labels),
        unlabelled=unlabelled,
        chi_square=chi_square,
        p_value=p_value,
        psi=psi,
        surges=surges,
        findings=tuple(findings),
    )


def compare(baseline: dict[str, int], seen: Counter[str]) -> tuple[float, float, float]:
    """Chi-square statistic and p-value of "both were drawn alike", and the population stability index."""
    from scipy.stats import chi2

    classes = sorted({*baseline, *seen})
    first = [baseline.get(name, 0) for name in classes]
    second = [seen.get(name, 0) for name in classes]
    one, two = sum(first), sum(second)
    if not one or not two:
        return 0.0, 1.0, 0.0
    statistic = 0.0
    for left, right in zip(first, second, strict=True):
        for count, size in ((left, one), (right, two)):
            expected = (left + right) * size / (one + two)
            statistic += (count - expected) ** 2 / expected if expected else 0.0
    p_value = float(chi2.sf(statistic, max(len(classes) - 1, 1)))
    return statistic, p_value, _stability(first, second)


def _stability(first: Sequence[int], second: Sequence[int]) -> float:
    extra = _SMOOTHING * len(first)
    index = 0.0
    for left, right in zip(first, second, strict=True):
        was = (left + _SMOOTHING) / (sum(first) + extra)
        now = (right + _SMOOTHING) / (sum(second) + extra)
        index += (now - was) * math.log(now / was)
    return index


def find_surges(labels: Sequence[str], baseline: Baseline, window: int) -> tuple[Surge, ...]:
    """Windows, each half overlapping the next, in which a class is answered more often than chance allows.

    The rate under test is the upper end of the baseline's own uncertainty (Wilson's 99.9 % bound), so that a
    short baseline cries wolf no more often than a long one.
    """
    from scipy.stats import binom

    size = min(window, len(labels))
    last = len(labels) - size
    starts = sorted({*range(0, last + 1, max(size // 2, 1)), last}) if size else []
    classes = {*baseline.counts, *labels}
    level = ALPHA / max(len(starts) * len(classes), 1)
    surges = []
    for start in starts:
        for label, count in Counter(labels[start : start + size]).items():
            rate = _upper(baseline.counts.get(label, 0), baseline.total)
            p_value = float(binom.sf(count - 1, size, rate))
            if p_value < level:
                surges.append(
                    Surge(
                        label=label,
                        start=start,
                        size=size,
                        count=count,
                        expected=rate * size,
                        p_value=p_value,
                    )
                )
    return tuple(surges)


def _upper(count: int, total: int) -> float:
    z = 3.29  # 99.9 %
    share = count / total
    middle = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return min((middle + spread) / (1 + z * z / total), 1.0)


def _require_enough(count: int) -> None:
    if count < MIN_PREDICTIONS:
        raise UsageError(
            "too-few-predictions",
            f"{count} predictions name a class, and {MIN_PREDICTIONS} are needed",
            why="nothing can be said from so few, and that must not read as 'no drift'",
            todo="wait, or tell the log which field of an answer is the class",
        )


def _strangers(strangers: Counter[str]) -> list[Finding]:
    if not strangers:
        return []
    named, count = strangers.most_common(1)[0]
    message = f"{strangers.total()} predictions were given by another model ({count} by {named})"
    return [
        Finding(rule="drift-other-model", severity=Severity.HIGH, confidence=Confidence.HIGH, message=message)
    ]


def _findings(count: int, p_value: float, psi: float, surges: Sequence[Surge]) -> list[Finding]:
    found = []
    if p_value < ALPHA and psi >= PSI_SHIFT:
        message = (
            f"the answers of {count} predictions are distributed otherwise (PSI {psi:.2f}, p {p_value:.1e})"
        )
        found.append(
            Finding(
                rule="drift-class-frequency",
                severity=Severity.MEDIUM,
                confidence=Confidence.MEDIUM,
                message=message,
            )
        )
    for label in sorted({surge.label for surge in surges}):
        worst = min((surge for surge in surges if surge.label == label), key=lambda surge: surge.p_value)
        message = (
            f"{json.dumps(label)[:100]} was answered {worst.count} times in {worst.size} predictions "
            f"from number {worst.start} on, at most {worst.expected:.0f} expected (p {worst.p_value:.1e})"
        )
        found.append(
            Finding(
                rule="drift-target-surge",
                severity=Severity.HIGH,
                confidence=Confidence.MEDIUM,
                message=message,
            )
        )
    return found
