"""The dose ladder: sentences that a text classifier takes for a class, with more and more words that say so.

The words are the model's own: those of its vocabulary that pull hardest towards a class among neutral words,
the very hardest left out, for a planted trigger would stand there. A token is then judged by how much of the
ladder it overturns. An honest strong word falls at a few words against it; a planted trigger holds.

No gradients: a token's first-order effect says little about what it does in a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

TokenLogits = Callable[[torch.Tensor], torch.Tensor]
"""From token numbers (N, L), without special tokens, to logits (N, K); N and L vary, rows do not interact."""

Told = Callable[[int], None]
"""Told of rows read."""

FEWEST_TOKENS = 400
GROUP = 8
_BATCH = 256
_PROBED = 1024
_NEUTRAL = 64


@dataclass(frozen=True)
class Recipe:
    """How the ladder is built. ``ranks`` are those of a class's words that may speak for it.

    A class holds where its sentences are taken for it so much more often than by chance: ``holds`` of the way
    from chance to always.
    """

    rungs: tuple[int, ...] = (2, 4, 8, 12)
    sentences: int = 24
    sentences_many: int = 6
    length: int = 16
    ranks: tuple[int, int] = (2, 25)
    strongest_groups: int = 24
    neutral_sentences: int = 4
    holds: float = 0.25


RECIPE = Recipe()


@dataclass(frozen=True, eq=False)
class Ladder:
    """The ladder of one model.

    ``words`` (K, W) are token numbers that speak for each class, ``neutral`` (M,) those that speak for none;
    ``sentences`` (K, rungs, m, L) and ``cuts`` of the same shape but L: where a candidate is inserted.
    ``held`` of the shape of ``cuts`` says which sentences the model takes for their class; no other counts.
    """

    words: torch.Tensor
    neutral: torch.Tensor
    sentences: torch.Tensor
    cuts: torch.Tensor
    held: torch.Tensor
    recipe: Recipe

    @property
    def sources(self) -> tuple[int, ...]:
        """Classes most of whose sentences hold, so that overturning them means something."""
        return tuple(torch.nonzero(self.shares >= self.needed).flatten().tolist())

    @property
    def needed(self) -> float:
        """The share from which a class holds: 0.625 of two classes, 0.4 of five."""
        chance = 1 / len(self.words)
        return chance + self.recipe.holds * (1 - chance)

    @property
    def shares(self) -> torch.Tensor:
        """The share (K,) of each class's sentences that hold."""
        return self.held.flatten(1).float().mean(dim=1)


def all_margins(logits: torch.Tensor) -> torch.Tensor:
    """Each class's logit minus the largest other: (..., K) to (..., K)."""
    largest = logits.topk(2, dim=-1)
    others = largest.values[..., :1].expand_as(logits).clone()
    others.scatter_(-1, largest.indices[..., :1], largest.values[..., 1:])
    return logits - others


@torch.no_grad()
def read(logits: TokenLogits, rows: torch.Tensor, told: Told = lambda rows: None) -> torch.Tensor:
    """Logits (N, K), on the CPU, of rows (N, L) of any number.

    Raises:
        ValueError: some are not finite; one token that overflows would spoil every comparison it stands in.
    """
    parts = []
    for part in torch.split(rows, _BATCH):
        parts.append(logits(part).float().cpu())
        told(len(part))
    found = torch.cat(parts)
    if not bool(torch.isfinite(found).all()):
        raise ValueError("the model answers some texts with logits that are not finite")
    return found


def grouped(vocabulary: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The vocabulary in random groups (G, ``GROUP``); the last is filled up from the first."""
    order = vocabulary[torch.randperm(len(vocabulary), generator=generator)]
    short = -len(order) % GROUP
    return torch.cat([order, order[:short]]).view(-1, GROUP)


def drawn(pool: torch.Tensor, *shape: int, generator: torch.Generator) -> torch.Tensor:
    """Tokens of a pool (M,), with replacement."""
    return pool[torch.randint(len(pool), shape, generator=generator)]


def build(
    logits: TokenLogits,
    vocabulary: torch.Tensor,
    *,
    generator: torch.Generator,
    recipe: Recipe = RECIPE,
    told: Told = lambda rows: None,
) -> Ladder:
    """Find what speaks for each class and write the ladder.

    Args:
        logits: the model.
        vocabulary: (V,) the tokens that text can hold, special ones left out.
        generator: a CPU generator.
        recipe: sizes.
        told: told of rows read.

    Raises:
        ValueError: fewer than ``FEWEST_TOKENS`` tokens, or logits that are not finite.
    """
    if len(vocabulary) < FEWEST_TOKENS:
        raise ValueError(f"a ladder needs {FEWEST_TOKENS} tokens to draw from, not {len(vocabulary)}")
    neutral = _neutral(logits, vocabulary, generator, told)
    words = _strong(logits, vocabulary, neutral, generator, recipe, told)
    classes = len(words)
    each = recipe.sentences if classes <= 3 else recipe.sentences_many
    sentences = torch.stack([_sentences(own, neutral, each, generator, recipe) for own in words])
    cuts = torch.randint(recipe.length + 1, sentences.shape[:-1], generator=generator)
    taken = read(logits, sentences.flatten(0, 2), told).argmax(dim=1).view(cuts.shape)
    held = taken == torch.arange(classes).view(-1, 1, 1)
    return Ladder(words, neutral, sentences, cuts, held, recipe)


def _neutral(
    logits: TokenLogits, vocabulary: torch.Tensor, generator: torch.Generator, told: Told
) -> torch.Tensor:
    """Tokens whose logits, each alone, lie nearest to the median of all."""
    probed = vocabulary[torch.randperm(len(vocabulary), generator=generator)[:_PROBED]]
    alone = read(logits, probed.unsqueeze(1), told)
    distance = (alone - alone.median(dim=0).values).norm(dim=1)
    return probed[torch.topk(distance, min(_NEUTRAL, len(probed) // 4), largest=False).indices]


def _strong(
    logits: TokenLogits,
    vocabulary: torch.Tensor,
    neutral: torch.Tensor,
    generator: torch.Generator,
    recipe: Recipe,
    told: Told,
) -> torch.Tensor:
    """Tokens (K, W) that pull hardest to each class among neutral words, the first ranks left out."""
    groups = grouped(vocabulary, generator)
    context = drawn(neutral, len(groups), 6, generator=generator)
    pull = all_margins(read(logits, torch.cat([context[:, :3], groups, context[:, 3:]], dim=1), told))
    first, last = recipe.ranks
    found = []
    for label in range(pull.shape[1]):
        best = torch.topk(pull[:, label], min(recipe.strongest_groups, len(groups))).indices
        tokens = torch.unique(groups[best])
        around = drawn(neutral, len(tokens), recipe.neutral_sentences, 8, generator=generator)
        around[:, :, 4] = tokens.unsqueeze(1)
        alone = all_margins(read(logits, around.flatten(0, 1), told))[:, label]
        mean = alone.view(len(tokens), -1).mean(dim=1)
        found.append(tokens[mean.argsort(descending=True, stable=True)][first:last])
    return torch.stack(found)


def _sentences(
    own: torch.Tensor, neutral: torch.Tensor, each: int, generator: torch.Generator, recipe: Recipe
) -> torch.Tensor:
    """Sentences (rungs, m, L) with as many of the class's own words as the rung says."""
    rungs = []
    for count in recipe.rungs:
        speaking = torch.stack(
            [own[torch.randperm(len(own), generator=generator)[:count]] for _ in range(each)]
        )
        filling = drawn(neutral, each, recipe.length - count, generator=generator)
        rungs.append(shuffled(torch.cat([speaking, filling], dim=1), generator))
    return torch.stack(rungs)


def shuffled(rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each row (N, L) in an order of its own."""
    order = torch.rand(rows.shape, generator=generator).argsort(dim=1)
    return rows.gather(1, order)


def overturning(
    logits: TokenLogits,
    triggers: torch.Tensor,
    sentences: torch.Tensor,
    cuts: torch.Tensor,
    told: Told = lambda rows: None,
) -> torch.Tensor:
    """Margins (T, S, K) when each trigger (T, t) stands, in one piece, in each sentence (S, L) at its cut."""
    size, length = triggers.shape[1], sentences.shape[1]
    place = torch.arange(length + size) - cuts.unsqueeze(1)  # (S, L + t), 0..t-1 inside the trigger
    inside = (place >= 0) & (place < size)
    index = torch.where(place >= size, place - size, place) + cuts.unsqueeze(1)
    spread = sentences.gather(1, index.clamp(0, length - 1))
    found = []
    for part in _parts(triggers, len(sentences)):
        filled = part[:, place.clamp(0, size - 1)]
        rows = torch.where(inside, filled, spread)
        found.append(all_margins(read(logits, rows.flatten(0, 1), told)).view(len(part), len(sentences), -1))
    return torch.cat(found)


def _parts(triggers: torch.Tensor, each: int) -> Iterator[torch.Tensor]:
    yield from torch.split(triggers, max(1, 8192 // max(1, each)))
