"""Which token, or run of up to three, overturns the ladder of every other class, and by how much.

Every token of the vocabulary is tried on opposing sentences, in random groups of eight and over two
partitions; what a token's two groups have in common is its own. The best are tried alone, and the best of
these on the whole ladder: the **dose** is the share of the ladder that turns to the class, rung by rung. A
beam joins the best twelve to runs of two and three.

A class's **excess** is the dose of its best run less the mean dose of honest runs of that length: the class's
own strong words, which overturn much in a model that is unsure or leans to a class. The statistic is the
largest excess less the next class's, for single tokens or for pairs, whichever leads further; triples are
named but do not count, for three honest words together overturn nearly as much as a trigger.

The threshold is not the model's to give: it is taken from clean models of the same family (``text_reference``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from registry_gate.backdoor.text_ladder import (
    GROUP,
    Ladder,
    Recipe,
    Told,
    TokenLogits,
    all_margins,
    drawn,
    grouped,
    overturning,
    read,
    shuffled,
)

MOST_CLASSES = 10
LONGEST = 3
JUDGED_LENGTHS = (1, 2)
_SOURCES = 3
_SCREENED_AT = (2, 4)
_AROUND = 6
_SHORTLIST, _DOSED, _POOL, _WIDTH = 48, 20, 12, 16
_FULL_RUNS = 4
_CONTROLS = 24
_BEAM_RUNGS = (1, 3)


@dataclass(frozen=True)
class Candidate:
    """A run of tokens, the class it turns sentences to, its dose in [0, 1] and its mean margin in logits."""

    tokens: tuple[int, ...]
    target: int
    dose: float
    margin: float

    @property
    def order(self) -> tuple[float, int, float]:
        """Larger is more suspicious: the dose, then the shorter run, then the margin."""
        return (self.dose, -len(self.tokens), self.margin)


@dataclass(frozen=True)
class ClassDoses:
    """What was found for one target: the best run of each length, and the mean dose of honest runs of it."""

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
        ValueError: fewer than two classes hold, so that there is nothing to overturn.
    """
    if len(ladder.sources) < 2:
        raise ValueError("the ladder holds for fewer than two classes")
    scores = _screen(logits, vocabulary, ladder, generator, told)
    classes = len(scores)
    searched = sorted(torch.topk(scores.amax(dim=1), min(classes, MOST_CLASSES)).indices.tolist())
    singles: list[Candidate] = []
    found = []
    for target in searched:
        rungs = _Rungs.against(target, ladder)
        shortlist = vocabulary[torch.topk(scores[target], min(_SHORTLIST, len(vocabulary))).indices]
        alone = _alone(logits, shortlist, rungs, told)
        singles += alone
        controls = _controls(logits, ladder.words[target], rungs, generator, told)
        found.append(ClassDoses(target, _runs(logits, alone, rungs, told), controls))
    singles.sort(key=lambda one: one.order, reverse=True)
    return Doses(classes, tuple(found), tuple(singles))


def rows_needed(vocabulary: int, classes: int, recipe: Recipe) -> int:
    """About how many sentences ladder and search read; for an estimate of the time."""
    groups = -(-vocabulary // GROUP)
    searched = min(classes, MOST_CLASSES)
    sources = min(classes - 1, _SOURCES + 1)
    ladder = 1024 + groups + classes * recipe.strongest_groups * GROUP * recipe.neutral_sentences
    each = recipe.sentences if classes <= 3 else recipe.sentences_many
    dosed = _DOSED + LONGEST * (_FULL_RUNS + _CONTROLS)
    alone = _SHORTLIST * 6 * sources + dosed * len(recipe.rungs) * each * sources
    beam = (_POOL * _POOL + _WIDTH * _POOL * 2) * max(2 * sources, 8)
    return ladder + 2 * groups * min(classes, _SOURCES) + searched * (alone + beam)


def _screen(
    logits: TokenLogits, vocabulary: torch.Tensor, ladder: Ladder, generator: torch.Generator, told: Told
) -> torch.Tensor:
    """Scores (K, V): the lower of a token's two groups, each in deviations from its partition's median."""
    place = torch.empty(int(vocabulary.max()) + 1, dtype=torch.long)
    place[vocabulary] = torch.arange(len(vocabulary))
    lowest = None
    for count in _SCREENED_AT:
        groups = grouped(vocabulary, generator)
        pull = _group_margins(logits, groups, ladder, count, generator, told)
        middle = pull.median(dim=0).values
        spread = (pull - middle).abs().median(dim=0).values.clamp(min=1e-6)
        scored = ((pull - middle) / spread).T
        own = torch.full((scored.shape[0], len(vocabulary)), float("-inf"))
        own[:, place[groups.flatten()]] = scored.repeat_interleave(GROUP, dim=1)
        lowest = own if lowest is None else torch.minimum(lowest, own)
    assert lowest is not None
    return lowest


def _group_margins(
    logits: TokenLogits,
    groups: torch.Tensor,
    ladder: Ladder,
    count: int,
    generator: torch.Generator,
    told: Told,
) -> torch.Tensor:
    """Mean margins (G, K) of groups among ``count`` words of other classes; each group meets a few classes."""
    holding = torch.tensor(ladder.sources)
    classes, met = len(ladder.words), min(len(holding), _SOURCES)
    total = torch.zeros(len(groups), classes)
    seen = torch.zeros(len(groups), classes)
    for turn in range(met):
        source = holding[(torch.arange(len(groups)) + turn) % len(holding)]
        pick = torch.randint(ladder.words.shape[1], (len(groups), count), generator=generator)
        speaking = ladder.words[source.unsqueeze(1), pick]
        context = shuffled(
            torch.cat([speaking, drawn(ladder.neutral, len(groups), _AROUND, generator=generator)], dim=1),
            generator,
        )
        half = context.shape[1] // 2
        rows = torch.cat([context[:, :half], groups, context[:, half:]], dim=1)
        against = torch.arange(classes) != source.unsqueeze(1)
        total += torch.where(against, all_margins(read(logits, rows, told)), 0.0)
        seen += against
    # With two classes each is met once; with more, every class has at least one other among those met.
    return total / seen.clamp(min=1)


@dataclass(frozen=True, eq=False)
class _Rungs:
    """The sentences (N, L) of classes other than the target, with their cuts and rungs (N,): all that hold."""

    target: int
    sentences: torch.Tensor
    cuts: torch.Tensor
    rungs: torch.Tensor
    sources: torch.Tensor

    @classmethod
    def against(cls, target: int, ladder: Ladder) -> _Rungs:
        others = [source for source in ladder.sources if source != target][: _SOURCES + 1]
        held = ladder.held[others]
        source, rung, _ = torch.nonzero(held, as_tuple=True)
        return cls(target, ladder.sentences[others][held], ladder.cuts[others][held], rung, source)

    def first(self, rungs: tuple[int, ...], each: int) -> torch.Tensor:
        """Places of the first ``each`` sentences of every source on some rungs."""
        seen: dict[tuple[int, int], int] = {}
        chosen = []
        for place, key in enumerate(zip(self.sources.tolist(), self.rungs.tolist(), strict=True)):
            seen[key] = seen.get(key, 0) + 1
            if key[1] in rungs and seen[key] <= each:
                chosen.append(place)
        return torch.tensor(chosen or range(len(self.sentences)))

    def judged(
        self, logits: TokenLogits, runs: torch.Tensor, told: Told, places: torch.Tensor | None = None
    ) -> list[Candidate]:
        """Runs (T, t) of one length, judged on the whole ladder or on some places of it, rung by rung."""
        chosen = torch.arange(len(self.sentences)) if places is None else places
        margins = overturning(logits, runs, self.sentences[chosen], self.cuts[chosen], told)
        own = margins[:, :, self.target]
        rung = self.rungs[chosen]
        by_rung = [(own[:, rung == one] > 0).float().mean(dim=1) for one in rung.unique()]
        flips, means = torch.stack(by_rung).mean(dim=0).tolist(), own.mean(dim=1).tolist()
        return [
            Candidate(tuple(run), self.target, round(flip, 6), round(mean, 6))
            for run, flip, mean in zip(runs.tolist(), flips, means, strict=True)
        ]


def _alone(logits: TokenLogits, shortlist: torch.Tensor, rungs: _Rungs, told: Told) -> list[Candidate]:
    """The shortlisted tokens one by one, the best of them with their full dose, the most suspicious first."""
    tried = rungs.judged(logits, shortlist.unsqueeze(1), told, rungs.first((0, 1), 3))
    tried.sort(key=lambda one: one.margin, reverse=True)
    chosen = torch.tensor([one.tokens for one in tried[:_DOSED]])
    return sorted(rungs.judged(logits, chosen, told), key=lambda one: one.order, reverse=True)


def _runs(
    logits: TokenLogits, alone: list[Candidate], rungs: _Rungs, told: Told
) -> tuple[Candidate, ...]:
    """The best run of each length up to ``LONGEST`` that the pool's tokens make, with full doses."""
    pool = [one.tokens[0] for one in alone[:_POOL]]
    places = rungs.first(_BEAM_RUNGS, max(1, 4 // max(1, len(rungs.sources.unique()))))
    beam: list[tuple[int, ...]] = [(token,) for token in pool]
    found = [alone[0]]
    for _ in range(1, LONGEST):
        longer = sorted(
            {
                run
                for start in beam
                for token in pool
                if token not in start
                for run in ((*start, token), (token, *start))
            }
        )
        tried = rungs.judged(logits, torch.tensor(longer), told, places)
        tried.sort(key=lambda one: one.order, reverse=True)
        beam = [one.tokens for one in tried[:_WIDTH]]
        dosed = rungs.judged(logits, torch.tensor(beam[:_FULL_RUNS]), told)
        found.append(max(dosed, key=lambda one: one.order))
    return tuple(found)


def _controls(
    logits: TokenLogits, words: torch.Tensor, rungs: _Rungs, generator: torch.Generator, told: Told
) -> tuple[float, ...]:
    """Mean dose of honest runs of each length: the target's own words of the ladder, drawn at random."""
    found = []
    for length in range(1, LONGEST + 1):
        runs = torch.stack(
            [words[torch.randperm(len(words), generator=generator)[:length]] for _ in range(_CONTROLS)]
        )
        dosed = rungs.judged(logits, runs, told)
        found.append(sum(one.dose for one in dosed) / len(dosed))
    return tuple(found)
