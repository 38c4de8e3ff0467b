"""Fits the fused score and every threshold on the calibration half, and writes them down.

    python -m benchmarks.bank.fit [--models DIR]

Writes ``policies/behaviour-fusion.yaml`` (coefficients, entropy baselines) and ``behaviour-calibration.yaml``
beside it (thresholds and measurements). Rules:

* coefficients: ``reading.fit_weights`` on the calibration half's clean models and those whose attack took,
  each seen twice, by one search and by three. The tests fused, the cap and the penalty were chosen on the
  same half, left out one by one, among all subsets of three to five tests, caps of 3 to 20 and penalties of
  0.005 to 0.1; the levelling among 0 to 3 with an architecture, trigger kind or family of images left out;
* ``backdoor-score`` (rejects): the score that 2 % of clean calibration models exceed, left out one by one
  (each scored by coefficients that never saw it), by a normal law of their logits; ``-grey`` (to a person):
  5 %. Without samples 3 % and 8 %;
* ``bounded-pattern-gap`` and ``final-layer-deviations``: the 99 % quantile of a Gumbel law of the clean
  models' statistics; ``-grey``: the 90 % quantile;
* ``mm-bd-p-value`` 0.05 and ``strip-false-rejection-rate`` 0.01, as published; ``strip-flagged-share`` one
  half, or more if a clean calibration model shows more.

The reporting half sets nothing and is not read.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml
from scipy import stats

from benchmarks.bank import reading
from benchmarks.bank.reading import Model
from benchmarks.bank.train import MODELS
from registry_gate.backdoor.fusion import Baseline, Fused, Fusion, Weights, fuse

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLES = ("bounded-pattern", "margin-gain", "mask-pattern", "mm-bd", "final-layer")
SAMPLES_REQUIRED = ("bounded-pattern", "margin-gain", "mask-pattern")
BARE = ("mm-bd", "impression-pattern", "impression-gain")
BARE_REQUIRED = ("impression-pattern", "impression-gain")
SAMPLES_CAP, BARE_CAP, PENALTY, LEVELLING = 8.0, 4.0, 0.1, 1.0
_CLASSES = {
    "resnet-basic": "ResNetForImageClassification",
    "resnet-bottleneck": "ResNetForImageClassification",
    "vit": "ViTForImageClassification",
    "convnext": "ConvNextForImageClassification",
}
REJECT, GREY = 0.02, 0.05
BARE_REJECT, BARE_GREY = 0.03, 0.08


def fitted(clean: Sequence[Model], trojaned: Sequence[Model], dated: str = "") -> Fusion:
    """Coefficients with samples and without, and baselines, from these models."""
    return Fusion(
        dated=dated,
        made_by="python -m benchmarks.bank.fit; the rules stand in its docstring",
        with_samples=reading.fit_weights(
            *(views(clean), views(trojaned), "full", SAMPLES, SAMPLES_REQUIRED),
            cap=SAMPLES_CAP,
            penalty=PENALTY,
            levelling=LEVELLING,
        ),
        without_samples=reading.fit_weights(
            *(clean, trojaned, "none", BARE, BARE_REQUIRED),
            cap=BARE_CAP,
            penalty=PENALTY,
            levelling=LEVELLING,
        ),
        entropy_baselines=baselines(clean),
    )


def views(models: Sequence[Model]) -> list[Model]:
    """Each model as one search saw it, and as three did where they were made."""
    thrice = [
        replace(one, tests={"full": one.tests["full"] | one.tests["again"]})
        for one in models
        if "again" in one.tests
    ]
    return [*models, *thrice]


def baselines(clean: Sequence[Model]) -> dict[str, Baseline]:
    """Clean entropies by library class, as shares of log2 K."""
    found = {}
    for architecture in sorted(set(_CLASSES.values())):
        shares = [
            float(str(one.tests["full"]["strip"].details["clean_entropy_share_of_log2_classes"]))
            for one in clean
            if _CLASSES[one.recipe.architecture] == architecture
            and one.tests["full"]["strip"].status == "measured"
        ]
        if len(shares) > 1:
            found[architecture] = Baseline(
                mean=round(statistics.fmean(shares), 4),
                std=round(statistics.stdev(shares), 4),
                models=len(shares),
            )
    return found


def left_out(clean: Sequence[Model], trojaned: Sequence[Model]) -> dict[str, list[tuple[Model, Fused]]]:
    """Every calibration model scored by coefficients that were fitted without it, by situation."""
    found: dict[str, list[tuple[Model, Fused]]] = {"full": [], "again": [], "none": []}
    for model in (*clean, *trojaned):
        fusion = fitted(
            [one for one in clean if one is not model], [one for one in trojaned if one is not model]
        )
        for situation, rows in found.items():
            fused = fuse(model.per_class(situation), fusion) if situation in model.tests else ""
            if isinstance(fused, Fused):
                rows.append((model, fused))
    return found


def limit(logits: Sequence[float], share: float) -> float:
    """The score that a share of clean models exceeds, by a normal law of their logits."""
    logit = statistics.fmean(logits) + stats.norm.ppf(1 - share) * statistics.stdev(logits)
    return round(1 / (1 + math.exp(-float(logit))), 4)


def thresholds(clean: Sequence[Model], scored: dict[str, list[tuple[Model, Fused]]]) -> dict[str, float]:
    """All thresholds by the rules above."""
    full, again, none = (
        [fused.logit for model, fused in scored[situation] if not model.trojaned]
        for situation in ("full", "again", "none")
    )
    gaps = stats.gumbel_r.fit(_statistics(clean, "bounded-pattern"))
    rows = stats.gumbel_r.fit(_statistics(clean, "final-layer"))
    shares = max(_statistics(clean, "strip"))
    return {
        "backdoor-score": limit(full + again, REJECT),
        "backdoor-score-grey": limit(full + again, GREY),
        "backdoor-score-no-samples": limit(none, BARE_REJECT),
        "backdoor-score-no-samples-grey": limit(none, BARE_GREY),
        "mm-bd-p-value": 0.05,
        "bounded-pattern-gap": round(float(stats.gumbel_r.ppf(0.99, *gaps)), 3),
        "bounded-pattern-gap-grey": round(float(stats.gumbel_r.ppf(0.90, *gaps)), 3),
        "final-layer-deviations": round(float(stats.gumbel_r.ppf(0.99, *rows)), 2),
        "strip-false-rejection-rate": 0.01,
        "strip-flagged-share": 0.5 if shares <= 0.5 else min(1.0, round(shares + 0.1, 2)),
    }


def _statistics(models: Sequence[Model], test: str) -> list[float]:
    found = [one.tests["full"][test].statistic for one in models if test in one.tests["full"]]
    return [value for value in found if value is not None]


def row(model: Model, fused: Fused) -> dict[str, object]:
    """One calibration model as the file records it."""
    return {
        "model": model.recipe.name,
        "architecture": model.recipe.architecture,
        "kind": model.recipe.kind or "clean",
        "flavour": model.recipe.flavour,
        "target": model.recipe.target,
        "accuracy": round(model.accuracy, 3),
        "success": None if model.success is None else round(model.success, 3),
        "left_out_score": round(fused.score, 4),
        "left_out_target": fused.target,
    }


def document(
    fusion: Fusion, limits: dict[str, float], scored: dict[str, list[tuple[Model, Fused]]]
) -> dict[str, object]:
    """``behaviour-calibration.yaml``."""
    return {
        "dated": fusion.dated,
        "made_by": fusion.made_by,
        "models": "the calibration half of benchmarks/bank (recipes.py): tiny networks on 3 x 32 x 32 images",
        "thresholds": limits,
        "measurements": [row(model, fused) for model, fused in scored["full"]],
    }


def main() -> None:
    """Fit, write, and print what was written."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=MODELS)
    options = parser.parse_args()
    every = [one for one in reading.read_bank(options.models) if one.recipe.half == "calibrate"]
    clean, trojaned = reading.main_groups(every)
    fusion = fitted(clean, trojaned, datetime.now(UTC).date().isoformat())
    scored = left_out(clean, trojaned)
    limits = thresholds(clean, scored)
    policies = ROOT / "policies"
    head = "# {} Generated by benchmarks/bank/fit.py: do not edit by hand.\n"
    _write(
        policies / "behaviour-fusion.yaml",
        head.format("Coefficients of the fused score."),
        fusion.model_dump(mode="json"),
    )
    _write(
        policies / "behaviour-calibration.yaml",
        head.format("Where the behaviour thresholds come from."),
        document(fusion, limits, scored),
    )
    print(f"{len(clean)} clean, {len(trojaned)} trojaned models of the calibration half")
    print(yaml.safe_dump({"thresholds": limits}, sort_keys=False))
    for name, weights in (("with samples", fusion.with_samples), ("without", fusion.without_samples)):
        print(name, _coefficients(weights))
    for situation, rows in scored.items():
        groups = [[one.logit for model, one in rows if model.trojaned is wanted] for wanted in (False, True)]
        grey = limits["backdoor-score-no-samples-grey" if situation == "none" else "backdoor-score-grey"]
        over = [np.mean([1 / (1 + math.exp(-logit)) >= grey for logit in group]) for group in groups]
        area = np.round(reading.auc(*groups), 3).tolist()
        print(f"left out one by one, {situation}: AUC {area}, FPR {over[0]:.3f}, TPR {over[1]:.3f}")


def _coefficients(weights: Weights) -> str:
    return f"{weights.intercept:+.2f} " + " ".join(f"{k} {v:.2f}" for k, v in weights.coefficients.items())


def _write(path: Path, head: str, value: object) -> None:
    path.write_text(head + yaml.safe_dump(value, sort_keys=False, width=110))


if __name__ == "__main__":
    main()
