"""Runs every test on every model of the bank, as the gate's child would, and keeps what each measured.

    python -m benchmarks.bank.score [--models DIR] [--paper N] [--watch]

Situations: ``full`` (500 clean samples), ``none`` (no samples), ``again`` (inversion by three searches, for
the calibrating half only: a second view of each model for the fit), and for the reporting half only ``few``
(four a class) and ``paper`` (MM-BD by the published rule, on the first N models of each kind). Nothing is
read back by the tests, so the order does not matter; run again, it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from benchmarks.bank.images import dataset
from benchmarks.bank.recipes import CLEAN, TROJANED, Recipe, bank
from benchmarks.bank.train import MODELS, Card, domain_of, stream
from registry_gate.backdoor.fusion import Fused, Fusion, Weights, fuse
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.examine.behaviour_child import measure
from registry_gate.examine.behaviour_messages import IMAGE_TESTS, Request
from registry_gate.policy import load_policy
from registry_gate.progress import silent
from registry_gate.record import Record

TOOK = 0.8
WORKS = 0.5
SAMPLES = 500
FEW = 4
_NONE = ("impression-pattern", "impression-gain")
_INVERSION = ("bounded-pattern", "margin-gain", "mask-pattern")


# Any score lies in this grey zone, so that all three searches are made.
_EVEN = Weights(
    intercept=0.0,
    coefficients={"bounded-pattern": 1.0},
    scales={"bounded-pattern": 1.0},
    required=("bounded-pattern",),
    cap=1.0,
)
_ALWAYS = Fusion(dated="", made_by="", with_samples=_EVEN, without_samples=_EVEN)
_THRICE = {"fusion": _ALWAYS, "grey": (0.0, 0.0), "flagged": (2.0, 2.0)}


class Scored(Record):
    """What the tests measured of one model in one situation; ``cpu_seconds`` include loading."""

    name: str
    situation: str
    tests: tuple[BehaviourMeasurement, ...]
    cpu_seconds: float


def probe_of(models: Path, recipe: Recipe, per_class: int | None) -> Path:
    """Clean samples that training never saw, as an ``.npz`` file."""
    count = SAMPLES if per_class is None else per_class * recipe.classes
    path = models / f"{recipe.name}-probe-{count}.npz"
    if not path.is_file():
        images, labels = dataset(domain_of(recipe), count, stream(recipe, 7))
        pixels = (images * 255).round().to(torch.uint8).numpy()
        np.savez_compressed(path, images=pixels, labels=labels.numpy())
    return path


def scored(models: Path, recipe: Recipe, situation: str) -> Scored:
    """The measurements of one model, made on first use and kept."""
    kept = models / "scores" / f"{recipe.name}-{situation}.json"
    if not kept.is_file():
        started = time.process_time()
        tests, probe = {
            "full": (tuple(test for test in IMAGE_TESTS if test not in _NONE), None),
            "few": (_INVERSION, FEW),
            "none": (_NONE, 0),
            "paper": (("mm-bd",), 0),
            "decided": (_INVERSION, None),
            "again": (_INVERSION, None),
        }[situation]
        data = None if probe == 0 else probe_of(models, recipe, probe)
        answer = measure(_request(models / recipe.name, tests, data, situation), silent)
        measured = tuple(one for one in answer.tests if one.test in tests)
        spent = round(time.process_time() - started, 3)
        made = Scored(name=recipe.name, situation=situation, tests=measured, cpu_seconds=spent)
        kept.parent.mkdir(exist_ok=True)
        kept.with_suffix(".part").write_bytes(made.canonical())
        kept.with_suffix(".part").rename(kept)
    return Scored.from_json(kept.read_bytes())


def _request(folder: Path, tests: tuple[str, ...], probe: Path | None, situation: str) -> Request:
    return Request(
        root=str(folder),
        weights=("model.safetensors",),
        probe_data=str(probe) if probe else None,
        device="cpu",
        seed=0,
        seconds=36_000,
        tests=tests,
        false_rejection_rate=0.01,
        profile="paper" if situation == "paper" else "fast",
        **(_THRICE if situation in ("decided", "again") else {}),
    )


def decide(models: Path, recipe: Recipe) -> Scored | None:
    """The three searches that the gate makes of a model in the grey zone of the shipped policy, else None."""
    policy = load_policy("default")
    fusion, limits = policy.behaviour_fusion, policy.thresholds
    if fusion is None:
        raise ValueError("the default policy has no coefficients")
    tests = scored(models, recipe, "full").tests
    found = fuse({one.test: one.per_class for one in tests if one.status == "measured"}, fusion)
    grey = (
        isinstance(found, Fused) and limits["backdoor-score-grey"] <= found.score < limits["backdoor-score"]
    )
    kept = models / "scores" / f"{recipe.name}-decided.json"
    if not grey:
        kept.unlink(missing_ok=True)  # of earlier coefficients
        return None
    return scored(models, recipe, "decided")


def situations(recipe: Recipe, few: int, paper: int) -> tuple[str, ...]:
    """What is measured of a model."""
    if recipe.group not in (CLEAN, TROJANED):
        return ("full",)
    chosen = ["full", "none"]
    if recipe.half == "calibrate":
        chosen.append("again")
    else:
        chosen += ["few"] * (_place(recipe) < few) + ["paper"] * (_place(recipe) < paper)
    return tuple(chosen)


def worth_scoring(card: Card) -> bool:
    """Whether the model works and, if an attack was made on it, the attack took; the rest is only counted."""
    return card.accuracy >= WORKS and (card.success is None or card.success >= TOOK)


def _place(recipe: Recipe) -> int:
    """How many of the same group and half come before it."""
    before = [one for one in bank() if (one.group, one.half) == (recipe.group, recipe.half)]
    return sorted(one.seed for one in before).index(recipe.seed)


def main() -> None:
    """Measure what is trained and not measured yet."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--few", type=int, default=99, help="models of each kind, four samples a class")
    parser.add_argument("--paper", type=int, default=99, help="models of each kind for the published loop")
    parser.add_argument("--watch", action="store_true", help="wait for models that are still being trained")
    parser.add_argument("--decide", action="store_true", help="search again where the score is in the grey")
    parser.add_argument("--half", choices=["calibrate", "report"], default="calibrate")
    options = parser.parse_args()
    torch.set_num_threads(1)
    waiting = [one for one in bank() if options.half in (None, one.half)]
    while waiting:
        trained = [one for one in waiting if (options.models / f"{one.name}.json").is_file()]
        for recipe in trained:
            card = Card.from_json((options.models / f"{recipe.name}.json").read_bytes())
            if not worth_scoring(card):
                continue
            if options.decide:
                again = decide(options.models, recipe)
                print(f"{recipe.name} {'decided' if again else 'clear'}", flush=True)
                continue
            for situation in situations(recipe, options.few, options.paper):
                found = scored(options.models, recipe, situation)
                print(f"{card.recipe.name} {situation} {found.cpu_seconds:.1f} s", flush=True)
        waiting = [one for one in waiting if one not in trained]
        if not options.watch:
            break
        if waiting and not trained:
            time.sleep(20)


if __name__ == "__main__":
    main()
