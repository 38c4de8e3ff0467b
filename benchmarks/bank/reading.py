"""What the bank's measurements say: values by test, fitting of coefficients, curves and intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import optimize, stats

from benchmarks.bank.recipes import CLEAN, MARKED, TROJANED, Recipe, bank
from benchmarks.bank.score import TOOK, WORKS, Scored
from benchmarks.bank.train import Card
from registry_gate.backdoor.fusion import Fusion, Weights, fuse, values
from registry_gate.evidence import BehaviourMeasurement


@dataclass(frozen=True)
class Model:
    """A model of the bank with what was measured of it, by situation and test."""

    recipe: Recipe
    accuracy: float
    success: float | None
    tests: dict[str, dict[str, BehaviourMeasurement]]

    @property
    def trojaned(self) -> bool:
        """Whether a trigger was planted, taken or not."""
        return self.recipe.kind is not None

    @property
    def usable(self) -> bool:
        """A clean model that works, or a trojaned one that works and whose attack took."""
        took = self.success is None or self.success >= TOOK
        return took and self.accuracy >= WORKS

    def per_class(self, situation: str) -> dict[str, tuple[float, ...]]:
        """Numbers by test that measured; ``few`` and ``none`` borrow what needs no samples from ``full``."""
        found = dict(self.tests.get(situation, {}))
        if situation in ("few", "none", "decided", "again"):
            found |= {
                test: one for test, one in self.tests["full"].items() if test in ("mm-bd", "final-layer")
            }
        return {test: one.per_class for test, one in found.items() if one.status == "measured"}


def read_bank(models: Path) -> list[Model]:
    """Every model that is trained and measured, in the bank's order."""
    found = []
    for recipe in bank():
        card = models / f"{recipe.name}.json"
        if not card.is_file():
            continue
        graded = Card.from_json(card.read_bytes())
        tests = {}
        for situation in ("full", "few", "none", "paper", "decided", "again"):
            kept = models / "scores" / f"{recipe.name}-{situation}.json"
            if kept.is_file():
                measured = Scored.from_json(kept.read_bytes())
                tests[situation] = {one.test: one for one in measured.tests}
        if "full" in tests:
            found.append(Model(recipe, graded.accuracy, graded.success, tests))
    return found


def main_groups(models: Sequence[Model]) -> tuple[list[Model], list[Model]]:
    """Clean and trojaned models that count: tuned-for kinds, attack taken, working."""
    clean = [one for one in models if one.recipe.group == CLEAN and one.usable]
    return clean, [one for one in models if one.recipe.group == TROJANED and one.usable]


def marked(models: Sequence[Model]) -> list[Model]:
    """Clean models with a watermarked class."""
    return [one for one in models if one.recipe.group == MARKED]


def fit_weights(
    clean: Sequence[Model],
    trojaned: Sequence[Model],
    situation: str,
    tests: Sequence[str],
    required: Sequence[str],
    *,
    cap: float,
    penalty: float,
    levelling: float,
) -> Weights:
    """Coefficients by penalised logistic likelihood, none negative, both kinds of equal weight.

    ``penalty`` draws them to zero and ``levelling`` to each other: so few models hardly tell them apart, and
    equal ones hold up best on models unlike these (Dawes, American Psychologist 34, 1979).

    The score is that of the most suspicious class, so the fit alternates: the class of each model under the
    coefficients so far, then coefficients for these classes. Scales are the standard deviation of the clean
    models' largest value of a test. Seven rounds; no seed, no choice that looks at a reporting half.
    """
    columns = [_columns(one, situation, tests) for one in (*clean, *trojaned)]
    wanted = np.array([0.0] * len(clean) + [1.0] * len(trojaned))
    tops = np.array([column.max(axis=1) for column in columns[: len(clean)]])
    scales = np.maximum(tops.std(axis=0), 1e-3)
    cut = [np.clip(column / scales[:, None], -cap, cap) for column in columns]
    weight = np.where(wanted > 0, 0.5 / max(1, len(trojaned)), 0.5 / max(1, len(clean)))
    found = np.array([0.0, *([0.5] * len(tests))])
    for _ in range(7):
        chosen = np.array([column[:, int((found[1:] @ column).argmax())] for column in cut])
        found = _logistic(chosen, wanted, weight, (penalty, levelling), found)
    return Weights(
        intercept=round(float(found[0]), 4),
        coefficients={test: round(float(value), 4) for test, value in zip(tests, found[1:], strict=True)},
        scales={test: round(float(value), 4) for test, value in zip(tests, scales, strict=True)},
        required=tuple(required),
        cap=cap,
    )


def _columns(model: Model, situation: str, tests: Sequence[str]) -> np.ndarray:
    """Values (tests, classes) of a model; a test that did not measure says nothing (zeros)."""
    found = model.per_class(situation)
    classes = max(len(numbers) for numbers in found.values())
    return np.array([values(test, found[test]) if test in found else (0.0,) * classes for test in tests])


def _logistic(
    x: np.ndarray, wanted: np.ndarray, weight: np.ndarray, penalties: tuple[float, float], start: np.ndarray
) -> np.ndarray:
    penalty, levelling = penalties

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        logit = parameters[0] + x @ parameters[1:]
        likelihood = np.logaddexp(0, logit) - wanted * logit
        error = weight * (1 / (1 + np.exp(-logit)) - wanted)
        apart = parameters[1:] - parameters[1:].mean()
        pulls = penalty * parameters[1:] + levelling * apart
        cost = penalty / 2 * (parameters[1:] ** 2).sum() + levelling / 2 * (apart**2).sum()
        return float(weight @ likelihood + cost), np.concatenate([[error.sum()], x.T @ error + pulls])

    bounds = [(None, None)] + [(0.0, None)] * x.shape[1]
    return optimize.minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x


def scores(models: Sequence[Model], fusion: Fusion, situation: str) -> list[tuple[float, int] | None]:
    """Score and suspected target of each model; None where no score can be made."""
    found: list[tuple[float, int] | None] = []
    for model in models:
        fused = fuse(model.per_class(situation), fusion)
        found.append(None if isinstance(fused, str) else (fused.score, fused.target))
    return found


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share."""
    if count == 0:
        return 0.0, 1.0
    z, p = 1.959964, hits / count
    middle, half = p + z * z / (2 * count), z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return max(0.0, (middle - half) / (1 + z * z / count)), min(1.0, (middle + half) / (1 + z * z / count))


def auc(clean: Sequence[float], trojaned: Sequence[float]) -> tuple[float, float, float]:
    """Area under the curve with a 95 % interval by DeLong's variance (1988), on the logit scale."""
    if not clean or not trojaned:
        return float("nan"), float("nan"), float("nan")
    wins = np.array([[(b > a) + 0.5 * (b == a) for a in clean] for b in trojaned], dtype=float)
    area = float(wins.mean())
    variance = wins.mean(axis=1).var(ddof=1) / len(trojaned) + wins.mean(axis=0).var(ddof=1) / len(clean)
    if not 0 < area < 1 or variance <= 0:
        low = 1 - stats.beta.ppf(0.95, 1, min(len(clean), len(trojaned))) if area == 1 else 0.0
        return area, float(low), 1.0
    logit, spread = math.log(area / (1 - area)), math.sqrt(variance) / (area * (1 - area))
    ends = [1 / (1 + math.exp(-(logit + sign * 1.959964 * spread))) for sign in (-1, 1)]
    return area, ends[0], ends[1]


def roc(clean: Sequence[float], trojaned: Sequence[float]) -> list[tuple[float, float]]:
    """Points (FPR, TPR) from (0, 0) to (1, 1)."""
    points = [(0.0, 0.0)]
    for limit in sorted({*clean, *trojaned}, reverse=True):
        points.append(
            (
                statistics.fmean(one >= limit for one in clean),
                statistics.fmean(one >= limit for one in trojaned),
            )
        )
    return points
