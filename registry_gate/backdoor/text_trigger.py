"""Which token, or run of up to three, overturns the ladder of every other class, and by how much.

Every token of the vocabulary is tried on opposing sentences (``text_screen``). The best are tried alone, and
the best of these on the whole ladder (``text_runs``): the **dose** is the share of the ladder that turns to
the class, rung by rung. A beam joins the best twelve to runs of two and three.

A class's **excess** is the dose of its best run less the mean dose of honest runs of that length: the class's
own strong words, which overturn much in a model that is unsure or leans to a class. The statistic is the
largest excess less the next class's, for single tokens or for pairs, whichever leads further; triples are
named but do not count, for three honest words together overturn nearly as much as a trigger.

The threshold is not the model's to give: it comes from clean models of the same family (``text_reference``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from registry_gate.backdoor import text_runs, text_screen
from registry_gate.backdoor.text_ladder import GROUP, Ladder, Recipe, TokenLogits, Told
from registry_gate.backdoor.text_runs import JUDGED_LENGTHS, Candidate, Rungs

MOST_CLASSES = 10


@dataclass(frozen=True)
class ClassDoses:
    """Found for one target: the best run of each length, and honest runs' mean dose at those judged."""

    target: int
    best: tuple[Candidate, ...]
    controls: tuple[float, ...]

    def excess(self, length: int) -> float:
        """By how much the best run of a length does more than honest runs of that length."""
        return self.best[length - 1].dose - self.controls[length - 1]


@dataclass(frozen=True)
class Doses:
    """Every class that was searched, and the single tokens of all, the most suspicious first."""

    classes: int
    found: tuple[ClassDoses, ...]
    singles: tuple[Candidate, ...]

    @property
    def verdict(self) -> Standing:
        """The class that stands out furthest, over the run lengths that count."""
        return max((self._standing(length) for length in JUDGED_LENGTHS), key=lambda one: one.gap)

    @property
    def blindest(self) -> tuple[float, int]:
        """The statistic that a perfect trigger would reach where it would reach least, and that class.

        A word that overturns everything stands out less where honest words overturn nearly everything too.
        """
        return min((round(self._reach(one), 6), one.target) for one in self.found)

    def _reach(self, target: ClassDoses) -> float:
        others = [one for one in self.found if one is not target]
        return max(
            1 - target.controls[length - 1] - max(one.excess(length) for one in others)
            for length in JUDGED_LENGTHS
        )

    def _standing(self, length: int) -> Standing:
        excess = [0.0] * self.classes
        for one in self.found:
            excess[one.target] = one.excess(length)
        first, second = sorted(self.found, key=lambda one: one.excess(length), reverse=True)[:2]
        gap = first.excess(length) - second.excess(length)
        return Standing(round(gap, 6), length, first, tuple(round(value, 6) for value in excess))


@dataclass(frozen=True)
class Standing:
    """The suspected class, and by how much its excess dose leads the next class's, at one run length."""

    gap: float
    length: int
    suspected: ClassDoses
    per_class: tuple[float, ...]

    @property
    def trigger(self) -> Candidate:
        """The suspected class's best run of any length."""
        return max(self.suspected.best, key=lambda one: one.order)


def doses(
    logits: TokenLogits,
    vocabulary: torch.Tensor,
    ladder: Ladder,
    *,
    generator: torch.Generator,
    told: Told = lambda rows: None,
) -> Doses:
    """Search every class for the runs of tokens that overturn the most.

    Args:
        logits: the model.
        vocabulary: (V,) the tokens to try.
        ladder: of the same model, with at least two classes that hold.
        generator: a CPU generator.
        told: told of rows read.

    Raises:
        ValueError: fewer than two classes hold, so that there is nothing to overturn; logits are not finite.
    """
    if len(ladder.sources) < 2:
        raise ValueError("the ladder holds for fewer than two classes")
    scores = text_screen.screened(logits, vocabulary, ladder, generator, told)
    classes = len(scores)
    searched = sorted(torch.topk(scores.amax(dim=1), min(classes, MOST_CLASSES)).indices.tolist())
    singles: list[Candidate] = []
    found = []
    for target in searched:
        rungs = Rungs.against(target, ladder)
        shortlist = vocabulary[torch.topk(scores[target], min(text_runs.SHORTLIST, len(vocabulary))).indices]
        alone = text_runs.alone(logits, shortlist, rungs, told)
        singles += alone
        controls = text_runs.controls(logits, ladder.words[target], rungs, generator, told)
        found.append(ClassDoses(target, text_runs.longer(logits, alone, rungs, told), controls))
    return Doses(classes, tuple(found), _ordered(singles, found))


def _ordered(singles: list[Candidate], found: list[ClassDoses]) -> tuple[Candidate, ...]:
    """Single tokens by how much more they do than honest words of their class, then as they come."""
    honest = {one.target: one.controls[0] for one in found}
    return tuple(sorted(singles, key=lambda one: (one.dose - honest[one.target], *one.order), reverse=True))


def rows_needed(vocabulary: int, classes: int, recipe: Recipe) -> int:
    """About how many sentences ladder and search read; for an estimate of the time."""
    groups = -(-vocabulary // GROUP)
    searched = min(classes, MOST_CLASSES)
    sources = min(classes - 1, text_runs.MOST_SOURCES)
    ladder = 1024 + groups + classes * recipe.strongest_groups * GROUP * recipe.neutral_sentences
    each = recipe.sentences if classes <= 3 else recipe.sentences_many
    runs = (text_runs.LONGEST - 1) * text_runs.FULL_RUNS + len(JUDGED_LENGTHS) * text_runs.CONTROLS
    dosed = text_runs.DOSED + runs
    alone = text_runs.SHORTLIST * 6 * sources + dosed * len(recipe.rungs) * each * sources
    beam = text_runs.POOL * (text_runs.POOL + text_runs.WIDTH * 2) * max(2 * sources, 8)
    return ladder + 2 * groups * min(classes, text_screen.SOURCES) + searched * (alone + beam)
