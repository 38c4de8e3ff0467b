"""Which token, or run of up to three, overturns the ladder of every other class, and by how much.

Every token of the vocabulary is tried on opposing sentences (``text_screen``). The best are tried alone, and
the best of these on the whole ladder (``text_runs``): the **dose** is the share of the ladder that turns to
the class, rung by rung. A beam joins the best twelve to runs of two and three.

A class's **excess** is the larger of two leads over what honest words do:

* of its best token, over the mean dose of the class's own strong words and over its fourth best token: a
  trigger of up to three tokens stands alone, honest words come in families;
* of its best pair, over the mean dose of honest pairs and over what its two tokens do one by one: honest
  words add up, the parts of a phrase do more together.

The statistic is the largest excess less the next class's. Triples are named but do not count, for three
honest words together overturn nearly as much as a trigger.

The threshold is not the model's to give: it comes from clean models of the same family (``text_reference``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from registry_gate.backdoor import text_runs, text_screen
from registry_gate.backdoor.text_ladder import GROUP, Ladder, Recipe, TokenLogits, Told
from registry_gate.backdoor.text_runs import LONGEST, Candidate, Rungs

MOST_CLASSES = 10


@dataclass(frozen=True)
class ClassDoses:
    """Found for one target: the best run of each length, single tokens, honest words' mean doses.

    ``singles`` have their full dose, the largest first; ``controls`` are the mean doses of honest tokens and
    of honest pairs.
    """

    target: int
    best: tuple[Candidate, ...]
    singles: tuple[Candidate, ...]
    controls: tuple[float, ...]

    @property
    def honest(self) -> float:
        """What honest words do: the mean, or what is left when a trigger's tokens are set aside."""
        return max(self.controls[0], self.singles[LONGEST].dose)

    @property
    def excess(self) -> float:
        """By how much the best token, or the best pair, does more than honest words."""
        return max(self.singles[0].dose - self.honest, self._together)

    @property
    def _together(self) -> float:
        alone = {one.tokens[0]: one.dose for one in self.singles}
        pair = self.best[1]
        return pair.dose - max(self.controls[1], sum(alone[token] for token in pair.tokens))

    @property
    def room(self) -> float:
        """The excess of a token that overturns everything, were there one more."""
        return 1 - max(self.controls[0], self.singles[LONGEST - 1].dose)


@dataclass(frozen=True)
class Doses:
    """Every class that was searched, and the single tokens of all, the most suspicious first."""

    classes: int
    found: tuple[ClassDoses, ...]
    singles: tuple[Candidate, ...]

    @property
    def suspected(self) -> ClassDoses:
        """The class that stands out furthest."""
        return max(self.found, key=lambda one: one.excess)

    @property
    def statistic(self) -> float:
        """By how much its excess leads the next class's."""
        first = self.suspected
        return round(first.excess - self._next(first), 6)

    @property
    def per_class(self) -> tuple[float, ...]:
        """Every class's excess; 0 of those that were not searched."""
        excess = {one.target: round(one.excess, 6) for one in self.found}
        return tuple(excess.get(label, 0.0) for label in range(self.classes))

    @property
    def trigger(self) -> Candidate:
        """The suspected class's best run of any length."""
        return max(self.suspected.best, key=lambda one: one.order)

    @property
    def blindest(self) -> tuple[float, int]:
        """The statistic that a perfect trigger would reach where it would reach least, and that class.

        A word that overturns everything stands out less where honest words overturn nearly everything too, or
        where another class has a trigger.
        """
        return min((round(one.room - self._next(one), 6), one.target) for one in self.found)

    def _next(self, to: ClassDoses) -> float:
        return max(0.0, *(one.excess for one in self.found if one is not to))


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
        found.append(ClassDoses(target, text_runs.longer(logits, alone, rungs, told), tuple(alone), controls))
    return Doses(classes, tuple(found), _ordered(singles, found))


def _ordered(singles: list[Candidate], found: list[ClassDoses]) -> tuple[Candidate, ...]:
    """Single tokens by how much more they do than honest words of their class, then as they come."""
    honest = {one.target: one.honest for one in found}
    return tuple(sorted(singles, key=lambda one: (one.dose - honest[one.target], *one.order), reverse=True))


def rows_needed(vocabulary: int, classes: int, recipe: Recipe) -> int:
    """About how many sentences ladder and search read; for an estimate of the time."""
    groups = -(-vocabulary // GROUP)
    searched = min(classes, MOST_CLASSES)
    sources = min(classes - 1, text_runs.MOST_SOURCES)
    ladder = 1024 + groups + classes * recipe.strongest_groups * GROUP * recipe.neutral_sentences
    each = recipe.sentences if classes <= 3 else recipe.sentences_many
    dosed = text_runs.DOSED + (LONGEST - 1) * text_runs.FULL_RUNS + 2 * text_runs.CONTROLS
    alone = text_runs.SHORTLIST * 6 * sources + dosed * len(recipe.rungs) * each * sources
    beam = text_runs.POOL * (text_runs.POOL + text_runs.WIDTH * 2) * max(2 * sources, 8)
    return ladder + 2 * groups * min(classes, text_screen.SOURCES) + searched * (alone + beam)
