"""Sets the thresholds of the behaviour checks on models of seeds 1000-1009 and writes them down.

    python benchmarks/calibrate_behaviour.py [--models DIR] [--output FILE]

The rules were fixed before anything was measured:

* ``bounded-pattern-gap`` (rejects by default): the 99 % quantile of a Gumbel law fitted by maximum
  likelihood to the gaps of the ten clean models, three draws of the gate's own seed each, single searches.
* ``bounded-pattern-gap-grey`` (goes to a person): the 90 % quantile of the same law.
* ``mm-bd-p-value``: 0.05 and ``strip-false-rejection-rate``: 0.01, as published; what they do is recorded.
* ``strip-flagged-share``: a majority, 0.5, or more if a clean model of the calibration shows more (then the
  largest share seen plus 0.1, at most 1).

Trojaned models of the same seeds set no threshold; they are measured and recorded so that the reader sees the
distance. All figures come from one small architecture: calibrate on models of your own kind before relying on
them.
"""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import yaml
from behaviour import HERE, Measured, flagged, measure_model
from scipy import stats

from registry_gate.testing import toy_images

SEEDS = range(1000, 1010)
DRAWS = (0, 1, 2)
PROBE_SEED = 5000
PUBLISHED = {"mm-bd-p-value": 0.05, "strip-false-rejection-rate": 0.01}
# A grey zone that no gap lies in: calibration looks at single searches.
_NO_GREY = {"bounded-pattern-gap": 1e9, "bounded-pattern-gap-grey": 1e9}


def thresholds_of(clean: list[Measured]) -> dict[str, float]:
    """The thresholds by the rules above, from clean models only."""
    law = stats.gumbel_r.fit([model.gap for model in clean])
    shares = max(model.strip_share for model in clean)
    return {
        "mm-bd-p-value": PUBLISHED["mm-bd-p-value"],
        "bounded-pattern-gap": round(float(stats.gumbel_r.ppf(0.99, *law)), 3),
        "bounded-pattern-gap-grey": round(float(stats.gumbel_r.ppf(0.90, *law)), 3),
        "strip-false-rejection-rate": PUBLISHED["strip-false-rejection-rate"],
        "strip-flagged-share": 0.5 if shares <= 0.5 else min(1.0, round(shares + 0.1, 2)),
    }


def row(model: Measured, draw: int) -> dict[str, object]:
    """One measurement as the file records it."""
    return {
        "seed": model.seed,
        "draw": draw,
        "kind": model.trigger or "clean",
        "target": model.target,
        "accuracy": round(model.accuracy, 4),
        "attack_success": None if model.success is None else round(model.success, 4),
        "mm_bd_p": float(f"{model.p_value:.3g}"),
        "mm_bd_target": model.margin_target,
        "gap": round(model.gap, 4),
        "gap_target": model.gap_target,
        "strip_flagged_share": round(model.strip_share, 4),
    }


def main() -> None:
    """Measure the calibration models and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=HERE / "results" / "models")
    parser.add_argument(
        "--output", type=Path, default=HERE.parent / "policies" / "behaviour-calibration.yaml"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.models.mkdir(parents=True, exist_ok=True)
    probe = toy_images.write_probe_data(options.models / f"probe-{PROBE_SEED}.npz", PROBE_SEED)
    settings = PUBLISHED | _NO_GREY
    bank: list[tuple[Measured, int]] = []
    for trojaned, draws in ((False, DRAWS), (True, DRAWS[:1])):
        for seed in SEEDS:
            for draw in draws:
                bank.append((measure_model(options.models, seed, trojaned, probe, settings, draw=draw), draw))
                print(row(*bank[-1]), flush=True)
    thresholds = thresholds_of([model for model, _ in bank if not model.trojaned])
    document = {
        "dated": datetime.now(UTC).date().isoformat(),
        "made_by": "benchmarks/calibrate_behaviour.py; the rules stand in its docstring",
        "models": "tiny transformers ResNet, 3 x 32 x 32 coloured digits, 10 classes; seeds 1000-1009 each",
        "thresholds": thresholds,
        "flagged_in_calibration": {
            detector: {
                kind: f"{sum(flagged(m, detector, thresholds) for m in group)} of {len(group)}"
                for kind, group in (
                    ("clean", [m for m, _ in bank if not m.trojaned]),
                    ("trojaned", [m for m, _ in bank if m.trojaned]),
                )
            }
            for detector in ("mm-bd", "bounded-pattern", "bounded-pattern or grey", "strip")
        },
        "measurements": [row(model, draw) for model, draw in bank],
    }
    header = "# Where the thresholds of the behaviour checks come from. Generated: do not edit by hand.\n"
    options.output.write_text(header + yaml.safe_dump(document, sort_keys=False, width=115))
    print(yaml.safe_dump({"thresholds": thresholds}, sort_keys=False))


if __name__ == "__main__":
    main()
