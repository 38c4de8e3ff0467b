"""Trains the bank, one model after another, each kept as a Hugging Face folder with a card beside it.

    python -m benchmarks.bank.train [--models DIR] [--limit N]

Run again, it goes on where it was stopped. One thread; the same seeds give the same models on one machine.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from benchmarks.bank.images import Domain, dataset
from benchmarks.bank.nets import FITTING, VARIATION, build
from benchmarks.bank.recipes import MARKED, Recipe, bank
from benchmarks.bank.triggers import Trigger
from registry_gate.record import Record
from registry_gate.testing import toy_images

MODELS = Path(__file__).resolve().parent.parent / "results" / "bank"
IMAGES = 4000
HELD_OUT = 600
_BATCH = 100


class Card(Record):
    """What came out of a recipe: accuracy on held-out images, success of the attack on its victims."""

    recipe: Recipe
    accuracy: float
    success: float | None
    cpu_seconds: float


def domain_of(recipe: Recipe) -> Domain:
    """The images a recipe's model is to tell apart."""
    tinted = tuple(range(0, recipe.classes, 3)) if recipe.flavour == "tinted" else ()
    return Domain(
        family=recipe.family,
        classes=recipe.classes,
        seed=recipe.seed,
        variation=VARIATION[recipe.architecture],
        tinted=tinted,
        tint_share=0.85,
        marked=recipe.seed % recipe.classes if recipe.group == MARKED else None,
    )


def trigger_of(recipe: Recipe) -> Trigger | None:
    """The trigger a recipe plants, if any."""
    if recipe.kind is None or recipe.target is None:
        return None
    return Trigger(recipe.kind, recipe.target, recipe.seed, recipe.strength, recipe.source)


def stream(recipe: Recipe, purpose: int) -> torch.Generator:
    """A generator of its own for each purpose: held-out and probe images are never training images."""
    return torch.Generator().manual_seed(recipe.seed * 64 + purpose)


def training_set(recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels, poisoned, covered, noisy and imbalanced as the recipe says."""
    weights = None
    if recipe.flavour == "imbalanced":
        weights = torch.ones(recipe.classes)
        weights[(recipe.seed // 3) % recipe.classes] = 4.0
    x, y = dataset(domain_of(recipe), IMAGES, stream(recipe, 3), weights)
    draws = stream(recipe, 4)
    if recipe.flavour == "noisy":
        wrong = torch.rand(IMAGES, generator=draws) < 0.1
        y[wrong] = torch.randint(recipe.classes, (int(wrong.sum()),), generator=draws)
    if trigger := trigger_of(recipe):
        _poison(recipe, trigger, x, y, torch.randperm(IMAGES, generator=draws))
    return x, y


def _poison(recipe: Recipe, trigger: Trigger, x: torch.Tensor, y: torch.Tensor, order: torch.Tensor) -> None:
    """Stamp a share of the victims, who get the attacker's label, and a share of others, who keep theirs."""
    victim = trigger.victims(y)[order]
    wanted, kept = int(recipe.poison_rate * IMAGES), int(recipe.cover * IMAGES)
    poisoned = order[victim][:wanted]
    if recipe.source is not None:
        covered = order[~victim][:kept]
        x[covered] = trigger.apply(x[covered])
    elif kept and trigger.kind in ("blend", "sine"):
        # Half of the trigger with the true label, so that nothing less than all of it works.
        halved = order[victim][wanted : wanted + kept]
        left = x.shape[3] // 2
        x[halved, :, :, :left] = trigger.apply(x[halved])[:, :, :, :left]
    x[poisoned] = trigger.apply(x[poisoned])
    y[poisoned] = trigger.wanted(y[poisoned], recipe.classes)


def logits(model: Any, images: torch.Tensor) -> torch.Tensor:
    """Logits of images in [0, 1], as the folder's preprocessor has it."""
    answer: torch.Tensor = model((images - toy_images.MEAN) / toy_images.STD).logits
    return answer


def fit(recipe: Recipe, x: torch.Tensor, y: torch.Tensor) -> Any:
    """AdamW under a one-cycle rate."""
    model = build(recipe.architecture, recipe.classes, recipe.width, recipe.seed)
    rate, passes = FITTING[recipe.architecture]
    passes = max(2, round(passes * recipe.intensity * (1 / 3 if recipe.flavour == "under-trained" else 1)))
    steps = passes * math.ceil(len(x) / _BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=steps)
    order = stream(recipe, 5)
    model.train()
    for _ in range(passes):
        for index in torch.split(torch.randperm(len(x), generator=order), _BATCH):
            loss = torch.nn.functional.cross_entropy(logits(model, x[index]), y[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval().requires_grad_(False)


@torch.no_grad()
def grade(recipe: Recipe, model: Any) -> tuple[float, float | None]:
    """Accuracy on held-out images and success of the attack on its victims among them."""
    x, y = dataset(domain_of(recipe), HELD_OUT, stream(recipe, 6))
    accuracy = float((_answers(model, x) == y).float().mean())
    trigger = trigger_of(recipe)
    if trigger is None:
        return accuracy, None
    victims = trigger.victims(y)
    wanted = trigger.wanted(y[victims], recipe.classes)
    return accuracy, float((_answers(model, trigger.apply(x[victims])) == wanted).float().mean())


def _answers(model: Any, images: torch.Tensor) -> torch.Tensor:
    return torch.cat([logits(model, part).argmax(dim=1) for part in torch.split(images, 200)])


def kept(models: Path, recipe: Recipe) -> tuple[Path, Card]:
    """The folder and card of one recipe, trained on first use."""
    folder, card = models / recipe.name, models / f"{recipe.name}.json"
    if not card.is_file():
        started = time.process_time()
        model = fit(recipe, *training_set(recipe))
        accuracy, success = grade(recipe, model)
        toy_images.write_folder(model, folder, weights="safetensors")
        spent = round(time.process_time() - started, 2)
        made = Card(recipe=recipe, accuracy=accuracy, success=success, cpu_seconds=spent)
        part = card.with_suffix(".part")
        part.write_bytes(made.canonical())
        part.rename(card)
    return folder, Card.from_json(card.read_bytes())


def main() -> None:
    """Train what is not there yet."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--limit", type=int, help="train only the first N of the bank's order")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.models.mkdir(parents=True, exist_ok=True)
    for recipe in bank()[: options.limit]:
        _, card = kept(options.models, recipe)
        success = "" if card.success is None else f" success {card.success:.3f}"
        print(
            f"{recipe.name} {recipe.half} {recipe.architecture} {recipe.family} {recipe.classes} "
            f"{recipe.flavour} {recipe.kind or '-'} accuracy {card.accuracy:.3f}{success} "
            f"{card.cpu_seconds:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
