"""TPR and FPR of the behaviour checks on ten fixed consecutive seeds of each kind: 0-9 clean, 0-9 trojaned.

    python benchmarks/behaviour.py [--models DIR] [--published] [--json FILE]

Models are trained on first use and kept. Thresholds come from ``policies/behaviour-calibration.yaml``, which
``benchmarks/calibrate_behaviour.py`` made on models of other seeds; triggers and targets follow from the seed
alone and were fixed before anything was measured. A miss is printed as ``MISS``, a false alarm as
``FALSE ALARM``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import yaml
from transformers.utils import logging

from registry_gate.backdoor import strip
from registry_gate.examine.behaviour_child import measure
from registry_gate.examine.behaviour_messages import Request
from registry_gate.progress import silent
from registry_gate.testing import toy_images

HERE = Path(__file__).resolve().parent
SEEDS = range(10)
PROBE_SEED = 6000
DETECTORS = ("mm-bd", "bounded-pattern", "bounded-pattern or grey", "strip")


@dataclass(frozen=True)
class Measured:
    """One model: what it is and what each test said. ``cpu_seconds`` of all tests and loading, one thread."""

    seed: int
    trojaned: bool
    trigger: str | None
    target: int | None
    accuracy: float
    success: float | None
    p_value: float
    margin_target: int
    gap: float
    gap_target: int
    strip_share: float
    own_trigger_survives: float
    seconds: dict[str, float]
    cpu_seconds: float


def measure_model(
    models: Path,
    seed: int,
    trojaned: bool,
    probe: Path,
    thresholds: dict[str, float],
    *,
    draw: int = 0,
    profile: str = "fast",
) -> Measured:
    """Everything the gate's second child would measure of one kept toy model, in this process.

    Args:
        models: the cache of trained models.
        seed: training seed.
        trojaned: which kind.
        probe: probe data.
        thresholds: as in a policy.
        draw: the gate's own seed.
        profile: of MM-BD.
    """
    folder, card = toy_images.kept(models, seed, trojaned=trojaned)
    request = Request(
        root=str(folder),
        weights=("model.safetensors",),
        probe_data=str(probe),
        device="cpu",
        seed=draw,
        seconds=3600,
        gap=thresholds["bounded-pattern-gap"],
        gap_grey=thresholds["bounded-pattern-gap-grey"],
        false_rejection_rate=thresholds["strip-false-rejection-rate"],
        profile=profile,
    )
    started = time.process_time()
    answer = measure(request, silent)
    spent = time.process_time() - started
    margin, gap, entropy = answer.tests
    return Measured(
        seed=seed,
        trojaned=trojaned,
        trigger=card.trigger,
        target=card.target,
        accuracy=card.accuracy,
        success=card.success,
        p_value=margin.p_value,
        margin_target=margin.suspected_target,
        gap=gap.statistic,
        gap_target=gap.suspected_target,
        strip_share=entropy.statistic,
        own_trigger_survives=float(entropy.details["own_trigger_survives_overlay"]),
        seconds={test.test: test.seconds for test in answer.tests},
        cpu_seconds=spent,
    )


def flagged(model: Measured, detector: str, thresholds: dict[str, float]) -> bool:
    """Whether a detector's finding would be reported for a model."""
    return {
        "mm-bd": model.p_value <= thresholds["mm-bd-p-value"],
        "bounded-pattern": model.gap >= thresholds["bounded-pattern-gap"],
        "bounded-pattern or grey": model.gap >= thresholds["bounded-pattern-gap-grey"],
        "strip": model.strip_share >= thresholds["strip-flagged-share"],
    }[detector]


def score(model: Measured, detector: str) -> float:
    """A number that is higher for more suspicious models."""
    if detector == "mm-bd":
        return -model.p_value
    return model.strip_share if detector == "strip" else model.gap


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z = 1.959964
    share, width = hits / of, z * z / of
    centre = (share + width / 2) / (1 + width)
    half = z * math.sqrt(share * (1 - share) / of + width / (4 * of)) / (1 + width)
    return max(0.0, centre - half), min(1.0, centre + half)


def auc(clean: list[float], trojaned: list[float]) -> float:
    """Chance that a trojaned model scores above a clean one; ties count half."""
    wins = sum((t > c) + 0.5 * (t == c) for t in trojaned for c in clean)
    return wins / (len(clean) * len(trojaned))


def runtime_strip(models: Path, seed: int, rate: float) -> float:
    """Share of truly triggered images that STRIP flags at run time: no admission test, a yardstick."""
    from transformers import ResNetForImageClassification

    folder, card = toy_images.kept(models, seed, trojaned=True)
    model = ResNetForImageClassification.from_pretrained(folder).eval()
    generator = torch.Generator().manual_seed(0)
    images, labels = toy_images.dataset(400, torch.Generator().manual_seed(PROBE_SEED))

    def logits(x: torch.Tensor) -> torch.Tensor:
        return model((x - toy_images.MEAN) / toy_images.STD).logits

    clean = strip.overlaid(logits, images[:60], images[200:], generator=generator)
    victims = toy_images.Trigger.of_seed(seed).apply(images[60:200][labels[60:200] != card.target][:60])
    boundary = strip.fit_boundary(clean.entropies, rate)
    return strip.flagged_share(
        strip.overlaid(logits, victims, images[200:], generator=generator).entropies, boundary
    )


def line(model: Measured, thresholds: dict[str, float]) -> str:
    """One model as one line of the report."""
    kind = f"{model.trigger}->{model.target}" if model.trojaned else "clean"
    words = []
    for detector in DETECTORS:
        hit = flagged(model, detector, thresholds)
        words.append("ok" if hit == model.trojaned else ("MISS" if model.trojaned else "FALSE ALARM"))
    success = "-" if model.success is None else f"{model.success:.3f}"
    return (
        f"{model.seed:>4} {kind:<9} acc {model.accuracy:.3f} success {success:<5} | "
        f"mm-bd p {model.p_value:8.2g} t{model.margin_target} {words[0]:<11} | "
        f"gap {model.gap:.3f} t{model.gap_target} {words[1]:<11} grey {words[2]:<11} | "
        f"strip {model.strip_share:.2f} (own {model.own_trigger_survives:.2f}) {words[3]:<11} | "
        f"{model.cpu_seconds:.1f} CPU s"
    )


def summary(bank: list[Measured], thresholds: dict[str, float]) -> list[str]:
    """One line a detector."""
    clean = [m for m in bank if not m.trojaned]
    trojaned = [m for m in bank if m.trojaned]
    lines = []
    for detector in DETECTORS:
        tp = sum(flagged(m, detector, thresholds) for m in trojaned)
        fp = sum(flagged(m, detector, thresholds) for m in clean)
        low, high = wilson(tp, len(trojaned))
        flow, fhigh = wilson(fp, len(clean))
        area = auc([score(m, detector) for m in clean], [score(m, detector) for m in trojaned])
        lines.append(
            f"{detector:<24} TPR {tp}/{len(trojaned)} [{low:.2f}, {high:.2f}]  "
            f"FPR {fp}/{len(clean)} [{flow:.2f}, {fhigh:.2f}]  AUC {area:.3f}"
        )
    for trigger in toy_images.KINDS:
        own = [m for m in trojaned if m.trigger == trigger]
        caught = sum(flagged(m, "bounded-pattern", thresholds) for m in own)
        grey = sum(flagged(m, "bounded-pattern or grey", thresholds) for m in own)
        right = sum(m.gap_target == m.target for m in own)
        lines.append(
            f"  bounded-pattern on {trigger:<5} {caught}/{len(own)} rejected, {grey}/{len(own)} rejected or "
            f"sent to a person, target right {right}/{len(own)}"
        )
    return lines


def main() -> None:
    """Measure the twenty models and print them."""
    logging.disable_progress_bar()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=HERE / "results" / "models")
    parser.add_argument(
        "--calibration", type=Path, default=HERE.parent / "policies" / "behaviour-calibration.yaml"
    )
    parser.add_argument(
        "--published", action="store_true", help="MM-BD by the published rule: about 20 times dearer"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    thresholds = yaml.safe_load(options.calibration.read_text())["thresholds"]
    options.models.mkdir(parents=True, exist_ok=True)
    probe = toy_images.write_probe_data(options.models / f"probe-{PROBE_SEED}.npz", PROBE_SEED)
    profile = "paper" if options.published else "fast"
    bank = []
    for trojaned in (False, True):
        for seed in SEEDS:
            bank.append(measure_model(options.models, seed, trojaned, probe, thresholds, profile=profile))
            print(line(bank[-1], thresholds), flush=True)
    print(f"\nMM-BD profile {profile}; thresholds {thresholds}")
    print("\n".join(summary(bank, thresholds)))
    shares = [runtime_strip(options.models, seed, thresholds["strip-false-rejection-rate"]) for seed in SEEDS]
    print(f"strip at run time, on truly triggered images: {sum(shares) / len(shares):.2f} of them flagged")
    print(f"CPU seconds a model, all tests: {sum(m.cpu_seconds for m in bank) / len(bank):.1f}")
    for test in ("mm-bd", "bounded-pattern", "strip"):
        print(f"  {test:<16} {sum(m.seconds[test] for m in bank) / len(bank):.1f}")
    if options.json:
        options.json.write_text(json.dumps([asdict(m) for m in bank], indent=1))


if __name__ == "__main__":
    main()
