"""The dose of tokens and of runs of tokens on the whole ladder against one target."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from registry_gate.backdoor.text_ladder import Ladder, TokenLogits, Told, overturning
from registry_gate.backdoor.text_screen import SOURCES

LONGEST = 3
MOST_SOURCES = SOURCES + 1
SHORTLIST, DOSED, POOL, WIDTH = 48, 20, 12, 16
FULL_RUNS = 4
CONTROLS = 16
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


@dataclass(frozen=True, eq=False)
class Rungs:
    """The sentences (N, L) of classes other than the target that hold, with cuts, rungs and classes (N,)."""

    target: int
    sentences: torch.Tensor
    cuts: torch.Tensor
    rungs: torch.Tensor
    sources: torch.Tensor

    @classmethod
    def against(cls, target: int, ladder: Ladder) -> Rungs:
        """The sentences of up to ``MOST_SOURCES`` other classes that hold."""
        others = [source for source in ladder.sources if source != target][:MOST_SOURCES]
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
        by_rung = [(own[:, rung == one] > 0).float().mean(dim=1) for one in torch.unique(rung)]
        flips, means = torch.stack(by_rung).mean(dim=0).tolist(), own.mean(dim=1).tolist()
        return [
            Candidate(tuple(run), self.target, round(flip, 6), round(mean, 6))
            for run, flip, mean in zip(runs.tolist(), flips, means, strict=True)
        ]


def alone(logits: TokenLogits, shortlist: torch.Tensor, rungs: Rungs, told: Told) -> list[Candidate]:
    """The shortlisted tokens one by one, the best of them with their full dose, the most suspicious first."""
    tried = rungs.judged(logits, shortlist.unsqueeze(1), told, rungs.first((0, 1), 3))
    tried.sort(key=lambda one: one.margin, reverse=True)
    chosen = torch.tensor([one.tokens for one in tried[:DOSED]])
    return sorted(rungs.judged(logits, chosen, told), key=lambda one: one.order, reverse=True)


def longer(logits: TokenLogits, singles: list[Candidate], rungs: Rungs, told: Told) -> tuple[Candidate, ...]:
    """The best run of each length up to ``LONGEST`` that the pool's tokens make, with full doses."""
    pool = [one.tokens[0] for one in singles[:POOL]]
    places = rungs.first(_BEAM_RUNGS, max(1, 4 // max(1, len(torch.unique(rungs.sources)))))
    beam: list[tuple[int, ...]] = [(token,) for token in pool]
    found = [singles[0]]
    for _ in range(1, LONGEST):
        tries = sorted(
            {
                run
                for start in beam
                for token in pool
                if token not in start
                for run in ((*start, token), (token, *start))
            }
        )
        tried = rungs.judged(logits, torch.tensor(tries), told, places)
        tried.sort(key=lambda one: one.order, reverse=True)
        beam = [one.tokens for one in tried[:WIDTH]]
        dosed = rungs.judged(logits, torch.tensor(beam[:FULL_RUNS]), told)
        found.append(max(dosed, key=lambda one: one.order))
    return tuple(found)


def controls(
    logits: TokenLogits, words: torch.Tensor, rungs: Rungs, generator: torch.Generator, told: Told
) -> tuple[float, float]:
    """Mean doses of honest tokens and pairs: the target's own words of the ladder, drawn at random."""

    def mean(length: int) -> float:
        orders = [torch.randperm(len(words), generator=generator)[:length] for _ in range(CONTROLS)]
        dosed = rungs.judged(logits, words[torch.stack(orders)], told)
        return round(sum(one.dose for one in dosed) / len(dosed), 6)

    return mean(1), mean(2)
