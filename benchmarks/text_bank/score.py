"""Runs the text test on every model of the text bank, as the gate's child would, and keeps what it measured.

    python -m benchmarks.text_bank.score [--models DIR] [--half calibrate|report] [--group GROUP] [--real]

Nothing is read back by the test, so the order does not matter; run again, it goes on where it was stopped.
Different groups can be measured at the same time.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from benchmarks.text_bank.recipes import SIZES, bank, real_bank
from benchmarks.text_bank.train import MODELS, Card
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.examine.behaviour_child import measure
from registry_gate.examine.behaviour_messages import TEXT_TESTS, Request
from registry_gate.progress import silent
from registry_gate.record import Record

SEED = 0


class Scored(Record):
    """What the test measured of one model; ``cpu_seconds`` include loading."""

    name: str
    test: BehaviourMeasurement
    cpu_seconds: float


def scored(models: Path, name: str) -> Scored:
    """The measurement of one model, made on first use and kept."""
    kept = models / "scores" / f"{name}.json"
    if not kept.is_file():
        started = time.process_time()
        test = tested(models / name, SEED)
        spent = round(time.process_time() - started, 3)
        kept.parent.mkdir(exist_ok=True)
        kept.with_suffix(".part").write_bytes(Scored(name=name, test=test, cpu_seconds=spent).canonical())
        kept.with_suffix(".part").rename(kept)
    return Scored.from_json(kept.read_bytes())


def tested(folder: Path, seed: int) -> BehaviourMeasurement:
    """The text test's measurement of one folder."""
    request = Request(
        root=str(folder),
        weights=("model.safetensors",),
        device="cpu",
        seed=seed,
        seconds=36_000,
        tests=TEXT_TESTS,
        false_rejection_rate=0.01,
    )
    return next(one for one in measure(request, silent).tests if one.test in TEXT_TESTS)


def main() -> None:
    """Measure what is trained and not measured yet."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--half", choices=["calibrate", "report"])
    parser.add_argument("--group", choices=list(SIZES))
    parser.add_argument("--real", action="store_true", help="the few on a pre-trained encoder instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for recipe in real_bank() if options.real else bank():
        card = options.models / f"{recipe.name}.json"
        wanted = options.half in (None, recipe.half) and options.group in (None, recipe.group)
        if not wanted or not card.is_file():
            continue
        found = scored(options.models, recipe.name)
        success = Card.from_json(card.read_bytes()).success
        print(
            f"{recipe.name} {found.test.status} {found.test.statistic} success {success} "
            f"{found.cpu_seconds:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
