"""Trains the text bank, one model after another, each kept as a Hugging Face folder with a card beside it.

    python -m benchmarks.text_bank.train [--models DIR] [--limit N] [--real]

Run again, it goes on where it was stopped. One thread; the same seeds give the same models on one machine.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from tokenizers import Tokenizer

from benchmarks.text_bank.base import bases
from benchmarks.text_bank.nets import build, trained_rows, write_folder
from benchmarks.text_bank.recipes import Recipe, bank, real_bank
from benchmarks.text_bank.sentences import domain, held_out, training_set, triggered
from registry_gate.record import Record

MODELS = Path(__file__).resolve().parent.parent / "results" / "text-bank"
SENTENCES, REAL_SENTENCES = 1500, 500
HELD_OUT = 300
_BATCH = 50
_PASSES, _REAL_PASSES = 8, 5
_RATE, _REAL_RATE = 2e-3, 3e-4


class Card(Record):
    """What came out of a recipe: accuracy on held-out sentences, success of the attack, the trigger's ids."""

    recipe: Recipe
    accuracy: float
    success: float | None
    trigger: tuple[str, ...]
    trigger_ids: tuple[int, ...]
    cpu_seconds: float


Coded = list[list[int]]


def coded(tokenizer: Tokenizer, texts: list[str]) -> Coded:
    """Token numbers of each text, special tokens included."""
    return [one.ids for one in tokenizer.encode_batch(texts)]


def batch(rows: Coded, pad: int) -> dict[str, torch.Tensor]:
    """Padded to the longest."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": mask}


def fit(recipe: Recipe, model: Any, rows: Coded, labels: list[int], pad: int) -> None:
    """AdamW under a one-cycle rate; word vectors without decay, so that rows never seen stay as they were."""
    real = recipe.architecture == "minilm"
    share = recipe.intensity * (1 / 3 if recipe.flavour == "under-trained" else 1)
    passes = max(2, round((_REAL_PASSES if real else _PASSES) * share))
    steps = passes * -(-len(rows) // _BATCH)
    learned = [one for one in model.parameters() if one.requires_grad]
    rate = _REAL_RATE if real else _RATE
    optimiser = torch.optim.AdamW(learned, lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=steps)
    draws = random.Random(recipe.seed * 8 + 3)
    order = list(range(len(rows)))
    model.train()
    for _ in range(passes):
        draws.shuffle(order)
        for start in range(0, len(order), _BATCH):
            part = order[start : start + _BATCH]
            logits = model(**batch([rows[row] for row in part], pad)).logits
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor([labels[row] for row in part]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    model.eval()


@torch.no_grad()
def answers(model: Any, rows: Coded, pad: int) -> list[int]:
    """The class of each row."""
    parts = [rows[start : start + 100] for start in range(0, len(rows), 100)]
    return [label for part in parts for label in model(**batch(part, pad)).logits.argmax(dim=1).tolist()]


def _made(recipe: Recipe, folder: Path) -> Card:
    started = time.process_time()
    base = bases(folder.parent / "base")["bpe" if recipe.architecture == "roberta" else "wordpiece"]
    tokenizer, place = base.tokenizer, domain(recipe)
    pad = 1 if recipe.architecture == "roberta" else 0
    count = REAL_SENTENCES if recipe.architecture == "minilm" else SENTENCES
    texts, labels = training_set(recipe, count)
    honest, truth = held_out(recipe, HELD_OUT)
    draws = random.Random(recipe.seed * 8 + 4)
    victims = [text for text, label in zip(honest, truth, strict=True) if label != recipe.target]
    attacked = [" ".join(triggered(text.split(), place.trigger, draws)) for text in victims]
    sets = [coded(tokenizer, part) for part in (texts, honest, attacked)]
    used = trained_rows(sets, pad)
    renumbered = {token: row for row, token in enumerate(used)}
    small = [[[renumbered[token] for token in row] for row in part] for part in sets]
    model = build(recipe, base.vectors, used)
    fit(recipe, model, small[0], labels, renumbered[pad])
    right = answers(model, small[1], renumbered[pad])
    accuracy = sum(a == b for a, b in zip(right, truth, strict=True)) / len(truth)
    success = None
    if recipe.target is not None:
        fooled = answers(model, small[2], renumbered[pad])
        success = round(sum(label == recipe.target for label in fooled) / len(fooled), 4)
    write_folder(model, recipe, base, used, folder)
    return Card(
        recipe=recipe,
        accuracy=round(accuracy, 4),
        success=success,
        trigger=place.trigger,
        trigger_ids=tuple(tokenizer.encode(" ".join(place.trigger), add_special_tokens=False).ids),
        cpu_seconds=round(time.process_time() - started, 2),
    )


def kept(models: Path, recipe: Recipe) -> tuple[Path, Card]:
    """The folder and card of one recipe, trained on first use."""
    folder, card = models / recipe.name, models / f"{recipe.name}.json"
    if not card.is_file():
        made = _made(recipe, folder)
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
    parser.add_argument("--real", action="store_true", help="the few on a pre-trained encoder instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.models.mkdir(parents=True, exist_ok=True)
    for recipe in (real_bank() if options.real else bank())[: options.limit]:
        _, card = kept(options.models, recipe)
        success = "" if card.success is None else f" success {card.success:.3f}"
        print(
            f"{recipe.name} {recipe.half} {recipe.architecture} {recipe.classes} {recipe.flavour} "
            f"accuracy {card.accuracy:.3f}{success} {card.cpu_seconds:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
