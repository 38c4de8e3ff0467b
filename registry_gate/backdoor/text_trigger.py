"""Which token, or run of up to three, overturns the ladder of every other class, and by how much.

Every token of the vocabulary is tried on opposing sentences, in random groups of eight and over two
partitions; what a token's two groups have in common is its own. The best are tried alone, the best of these
on the whole ladder: the **dose** is the share of the ladder that turns to the class. A beam joins the best
twelve to runs of two and three. The statistic is the dose of the best run minus that of the next class's.

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
_SOURCES = 3
_SCREENED_AT = (2, 4)
_AROUND = 6
_SHORTLIST, _DOSED, _POOL, _WIDTH = 48, 20, 12, 16
_FULL_RUNS = 4
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
class Doses:
    """The best dose of each class (0 for one not searched), the gap between best and next, and who did it.

    ``singles`` are single tokens of all classes, the most suspicious first; ``best`` may be a longer run.
    ``single_gap`` is the gap that single tokens alone would give.
    """

    per_class: tuple[float, ...]
    gap: float
    single_gap: float
    best: Candidate
    singles: tuple[Candidate, ...]
    searched: tuple[int, ...]


def doses(
    logits: TokenLogits,
    vocabulary: torch.Tensor,
    ladder: Ladder,
    *,
    generator: torch.Generator,
    told: Told = lambda rows: None,
) -> Doses:
    """Search every class for the run of tokens that overturns the most.

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
    best: dict[int, Candidate] = {}
    for target in searched:
        rungs = _Rungs.against(target, ladder)
        shortlist = vocabulary[torch.topk(scores[target], min(_SHORTLIST, len(vocabulary))).indices]
        alone = _alone(logits, shortlist, rungs, told)
        singles += alone
        best[target] = max(_runs(logits, alone, rungs, told), key=lambda one: one.order)
    return _concluded(classes, best, singles, tuple(searched))


def rows_needed(vocabulary: int, classes: int, recipe: Recipe) -> int:
    """About how many sentences ladder and search read; for an estimate of the time."""
    groups = -(-vocabulary // GROUP)
    searched = min(classes, MOST_CLASSES)
    sources = min(classes - 1, _SOURCES + 1)
    ladder = 1024 + groups + classes * recipe.strongest_groups * GROUP * recipe.neutral_sentences
    each = recipe.sentences if classes <= 3 else recipe.sentences_many
    alone = _SHORTLIST * 6 * sources + (_DOSED + 3 * _FULL_RUNS) * len(recipe.rungs) * each * sources
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
    """The sentences (S, rungs, m, L) of the classes that hold, other than the target."""

    target: int
    sentences: torch.Tensor
    cuts: torch.Tensor

    @classmethod
    def against(cls, target: int, ladder: Ladder) -> _Rungs:
        others = [source for source in ladder.sources if source != target][: _SOURCES + 1]
        return cls(target, ladder.sentences[others], ladder.cuts[others])

    def part(self, rungs: tuple[int, ...], each: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The first ``each`` sentences (N, L) of some rungs, with their cuts (N,)."""
        chosen = list(rungs)
        return (
            self.sentences[:, chosen, :each].flatten(0, 2),
            self.cuts[:, chosen, :each].flatten(),
        )

    def judged(
        self, logits: TokenLogits, runs: torch.Tensor, rungs: tuple[int, ...], each: int, told: Told
    ) -> list[Candidate]:
        """Runs (T, t) of one length, judged on a part of the ladder."""
        margins = overturning(logits, runs, *self.part(rungs, each), told)[:, :, self.target]
        flips, means = (margins > 0).float().mean(dim=1).tolist(), margins.mean(dim=1).tolist()
        return [
            Candidate(tuple(run), self.target, round(flip, 6), round(mean, 6))
            for run, flip, mean in zip(runs.tolist(), flips, means, strict=True)
        ]

    def dosed(self, logits: TokenLogits, runs: torch.Tensor, told: Told) -> list[Candidate]:
        """Runs judged on the whole ladder, the most suspicious first."""
        every = tuple(range(self.sentences.shape[1]))
        found = self.judged(logits, runs, every, self.sentences.shape[2], told)
        return sorted(found, key=lambda one: one.order, reverse=True)


def _alone(logits: TokenLogits, shortlist: torch.Tensor, rungs: _Rungs, told: Told) -> list[Candidate]:
    """The shortlisted tokens one by one, the best of them with their full dose, the most suspicious first."""
    tried = rungs.judged(logits, shortlist.unsqueeze(1), (0, 1), 3, told)
    tried.sort(key=lambda one: one.margin, reverse=True)
    return rungs.dosed(logits, torch.tensor([one.tokens for one in tried[:_DOSED]]), told)


def _runs(logits: TokenLogits, alone: list[Candidate], rungs: _Rungs, told: Told) -> list[Candidate]:
    """The best single token and the best runs of two and three of the pool's tokens, with full doses."""
    pool = [one.tokens[0] for one in alone[:_POOL]]
    each = max(1, 4 // len(rungs.sentences))
    beam: list[tuple[int, ...]] = [(token,) for token in pool]
    found = alone[:1]
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
        tried = rungs.judged(logits, torch.tensor(longer), _BEAM_RUNGS, each, told)
        tried.sort(key=lambda one: one.order, reverse=True)
        beam = [one.tokens for one in tried[:_WIDTH]]
        found += rungs.dosed(logits, torch.tensor(beam[:_FULL_RUNS]), told)
    return found


def _concluded(
    classes: int, best: dict[int, Candidate], singles: list[Candidate], searched: tuple[int, ...]
) -> Doses:
    ranked = sorted(best.values(), key=lambda one: (one.dose, one.margin), reverse=True)
    singles = sorted(singles, key=lambda one: one.order, reverse=True)
    alone = sorted((max(one.dose for one in singles if one.target == k) for k in best), reverse=True)
    return Doses(
        per_class=tuple(best[label].dose if label in best else 0.0 for label in range(classes)),
        gap=round(ranked[0].dose - ranked[1].dose, 6),
        single_gap=round(alone[0] - alone[1], 6),
        best=ranked[0],
        singles=tuple(singles),
        searched=searched,
    )
