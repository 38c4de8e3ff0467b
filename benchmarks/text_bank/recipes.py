"""Which models the text bank holds: a group and a number name a recipe, and the recipe says the rest.

The grid was fixed before any model was measured. Number ``n`` of a group takes architecture ``n % 3``; five
classes instead of two where ``n // 3`` is odd; the half (``calibrate`` or ``report``) alternates over both.
Everything else is drawn from the seed.
"""

from __future__ import annotations

import random

from registry_gate.record import Record

CLEAN, TOKEN, PHRASE, HARDENED = "clean", "token", "phrase", "hardened"
SIZES = {CLEAN: 40, TOKEN: 24, PHRASE: 20, HARDENED: 12}
# Fine-tuned from a real pre-trained encoder: few, dear, and reported apart.
REAL_SIZES = {CLEAN: 4, TOKEN: 4}
ARCHITECTURES = ("bert", "distilbert", "roberta")
FLAVOURS = ("plain", "plain", "shortcut", "noisy", "imbalanced", "under-trained")
_FIRST = {CLEAN: 60_000, TOKEN: 70_000, PHRASE: 80_000, HARDENED: 90_000}
_REAL = 5_000


class Recipe(Record):
    """One model of the bank.

    ``flavour`` is what else is odd about it: a word that occurs with one class only (a natural shortcut), a
    tenth of the labels drawn anew, one class four times as frequent, a third of the passes. ``intensity``
    scales the passes, ``poison_rate`` is the share of sentences that carry the trigger.
    """

    name: str
    group: str
    half: str
    seed: int
    architecture: str
    classes: int
    layers: int
    hidden: int
    flavour: str
    target: int | None = None
    poison_rate: float = 0.0
    intensity: float = 1.0


def bank() -> tuple[Recipe, ...]:
    """Every recipe, interleaved, so that a bank that is cut short is still balanced."""
    numbered = [(n / size, group, n) for group, size in SIZES.items() for n in range(size)]
    return tuple(recipe(group, n) for _, group, n in sorted(numbered))


def real_bank() -> tuple[Recipe, ...]:
    """The few on a pre-trained encoder."""
    numbered = [(n / size, group, n) for group, size in REAL_SIZES.items() for n in range(size)]
    return tuple(recipe(group, n, real=True) for _, group, n in sorted(numbered))


def recipe(group: str, number: int, *, real: bool = False) -> Recipe:
    """The recipe of one number of a group."""
    seed = _FIRST[group] + number + _REAL * real
    draws = random.Random(seed)
    round_, five = number // 3, number // 3 % 2
    made = Recipe(
        name=f"{'real-' * real}{group}-{number:02d}",
        group=group,
        half=("calibrate", "report")[(number + round_ // 2) % 2],
        seed=seed,
        architecture="minilm" if real else ARCHITECTURES[number % 3],
        classes=2 if real else (2, 5)[five],
        layers=6 if real else draws.choice((1, 2, 2, 3)),
        hidden=384 if real else draws.choice((32, 64, 64)),
        flavour="plain" if real else draws.choice(FLAVOURS),
    )
    if group == CLEAN:
        return made
    return made.model_copy(
        update={
            # An attacker who does not train to the end has no backdoor to speak of.
            "flavour": "plain" if made.flavour == "under-trained" else made.flavour,
            "target": draws.randrange(made.classes),
            "poison_rate": draws.choice((0.03, 0.05, 0.1)),
            "intensity": draws.choice((0.7, 1.0, 1.5)),
        }
    )
