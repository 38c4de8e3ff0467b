"""Mithridatium's MM-BD on the models that the published loop is run on, in a process with its own packages.

    python -m benchmarks.bank.peers [--models DIR]

Its command cannot be run on the bank: before any test it downloads CIFAR-10, and it reads torchvision ResNets
(by an unpickling load) or models of the hub. So its function ``run_mmbd`` is called as the command would, on
models loaded here from our own safetensors, with the numbers of each model's preprocessing. Its unused import
of torchvision is met by an empty module; as it seeds nothing, the seed is set for it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.bank.recipes import CLEAN, TROJANED, bank
from benchmarks.bank.score import situations, worth_scoring
from benchmarks.bank.train import MODELS, Card
from benchmarks.environments import MITHRIDATIUM, mithridatium
from registry_gate.record import Record

_DRIVER = Path(__file__).with_name("mithridatium_driver.py")


class PeerResult(Record):
    """What Mithridatium says of one model."""

    name: str
    p_value: float
    verdict: str
    cpu_seconds: float


def chosen(models: Path) -> list[str]:
    """Names of the reporting half's models that the published loop is run on."""
    found = []
    for recipe in bank():
        card = models / f"{recipe.name}.json"
        wanted = recipe.half == "report" and recipe.group in (CLEAN, TROJANED)
        if wanted and card.is_file() and worth_scoring(Card.from_json(card.read_bytes())):
            found += [recipe.name] * ("paper" in situations(recipe, few=0, paper=99))
    return found


def measured(models: Path) -> list[PeerResult] | None:
    """Its results, made on first use and kept; None where it cannot be installed."""
    kept = models / "scores" / "mithridatium.json"
    if not kept.is_file():
        folder = mithridatium()
        if folder is None:
            return None
        environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
        folders = [str((models / name).resolve()) for name in chosen(models)]
        with tempfile.TemporaryDirectory() as elsewhere:
            done = subprocess.run(
                [sys.executable, "-P", str(_DRIVER), *folders],
                env=environment,
                cwd=elsewhere,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        kept.write_text(json.dumps([json.loads(line) for line in lines], indent=1))
    return [PeerResult.model_validate(one) for one in json.loads(kept.read_text())]


def main() -> None:
    """Measure, and print one line a model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=MODELS)
    found = measured(parser.parse_args().models)
    if found is None:
        print(f"{MITHRIDATIUM} could not be installed: not compared")
        return
    for one in found:
        print(f"{one.name} {one.verdict}, p {one.p_value:.3g}, {one.cpu_seconds:.1f} CPU s")


if __name__ == "__main__":
    main()
