"""Which models the bank holds: a seed names a recipe, and the recipe says everything about the training.

The grid was fixed before any model was measured. Number ``n`` of a group takes architecture ``n % 4`` and, if
trojaned, trigger kind ``n // 4 % 4``; of the sixteen combinations three rounds exist, with everything else
drawn from the seed. The half (``calibrate`` or ``report``) follows from the number alone, so that both halves
hold every architecture and every kind.

Trojaned numbers from 48 on were added when the first dozen had been trained and too many of their attacks had
not taken: they are poisoned harder and trained longer. Only accuracy and success had been looked at by then.
"""

from __future__ import annotations

import random

from benchmarks.bank.images import FAMILIES
from benchmarks.bank.nets import ARCHITECTURES
from benchmarks.bank.triggers import TUNED, UNTUNED
from registry_gate.record import Record

CLEAN, TROJANED, MARKED, STRANGE = "clean", "trojaned", "marked", "strange"
SIZES = {CLEAN: 44, TROJANED: 72, MARKED: 4, STRANGE: 12}
_MILD = 48
_FIRST = {CLEAN: 20_000, TROJANED: 30_000, MARKED: 40_000, STRANGE: 50_000}
FLAVOURS = ("plain", "plain", "tinted", "under-trained", "imbalanced", "noisy")


class Recipe(Record):
    """One model of the bank.

    ``flavour`` is what else is odd about it: classes with a background hue of their own (a natural shortcut),
    a third of the passes, one class four times as frequent, a tenth of the labels wrong. ``intensity`` scales
    the passes of a trojaned model. ``cover`` is the share of images with the trigger and their true label.
    """

    name: str
    group: str
    half: str
    seed: int
    architecture: str
    width: int
    family: str
    classes: int
    flavour: str
    kind: str | None = None
    target: int | None = None
    source: int | None = None
    poison_rate: float = 0.0
    strength: float = 1.0
    intensity: float = 1.0
    cover: float = 0.0


def bank() -> tuple[Recipe, ...]:
    """Every recipe, interleaved, so that a bank that is cut short is still balanced."""
    numbered = [(n / size, group, n) for group, size in SIZES.items() for n in range(size)]
    return tuple(recipe(group, n) for _, group, n in sorted(numbered))


def recipe(group: str, number: int) -> Recipe:
    """The recipe of one number of a group."""
    seed = _FIRST[group] + number
    draws = random.Random(seed)
    classes = draws.choice((10, 10, 10, 8, 6))
    made = Recipe(
        name=f"{group}-{number:02d}",
        group=group,
        half=_half(number),
        seed=seed,
        architecture=ARCHITECTURES[number % 4],
        width=draws.randrange(2),
        family=FAMILIES[draws.randrange(3)],
        classes=classes,
        flavour=_flavour(group, number, draws),
    )
    return made if group in (CLEAN, MARKED) else made.model_copy(update=_attack(made, number, draws))


def _flavour(group: str, number: int, draws: random.Random) -> str:
    if group not in (CLEAN, TROJANED):
        return "plain"
    drawn = draws.choice(FLAVOURS)
    return "plain" if drawn == "under-trained" and number >= _MILD else drawn


def _half(number: int) -> str:
    """Alternates over the numbers so that each architecture and each kind falls in both halves."""
    round_, kind, architecture = number // 16, number // 4 % 4, number % 4
    return "calibrate" if (round_ + kind + architecture) % 2 == 0 else "report"


def _attack(made: Recipe, number: int, draws: random.Random) -> dict[str, object]:
    kind = TUNED[number // 4 % 4] if made.group == TROJANED else UNTUNED[number // 4 % 3]
    target = draws.randrange(made.classes)
    specific = kind == "source-specific"
    strange, mild = made.group == STRANGE, number >= _MILD
    return {
        "kind": kind,
        "target": target,
        "source": (target + draws.randrange(1, made.classes)) % made.classes if specific else None,
        "poison_rate": 0.15 if strange else draws.choice((0.05, 0.1) if mild else (0.01, 0.03, 0.05, 0.1)),
        "strength": 1.3 if strange else draws.choice((1.0, 1.3) if mild else (0.8, 1.0, 1.3)),
        "intensity": draws.choice((1.0, 1.5) if mild else (0.6, 1.0, 1.5)),
        # Without triggered images of other classes that keep their label no trigger is source-specific.
        "cover": 0.1 if specific else draws.choice((0.0, 0.0, 0.0, 0.02)),
    }
