"""Every token of a vocabulary among words that speak for other classes: which deserve a closer look.

Tokens are tried in random groups of eight and over two partitions; what a token's two groups have in common
is its own.
"""

from __future__ import annotations

import torch

from registry_gate.backdoor.text_ladder import (
    GROUP,
    Ladder,
    TokenLogits,
    Told,
    all_margins,
    drawn,
    grouped,
    read,
    shuffled,
)

SOURCES = 3
_SCREENED_AT = (2, 4)
_AROUND = 6


def screened(
    logits: TokenLogits, vocabulary: torch.Tensor, ladder: Ladder, generator: torch.Generator, told: Told
) -> torch.Tensor:
    """Scores (K, V): the lower of a token's two groups, each in deviations from its partition's median.

    Args:
        logits: the model.
        vocabulary: (V,) the tokens to try.
        ladder: of the same model, with at least two classes that hold.
        generator: a CPU generator.
        told: told of rows read.
    """
    place = torch.empty(int(vocabulary.max()) + 1, dtype=torch.long)
    place[vocabulary] = torch.arange(len(vocabulary))
    lowest = torch.full((len(ladder.words), len(vocabulary)), float("inf"))
    for count in _SCREENED_AT:
        groups = grouped(vocabulary, generator)
        pull = _group_margins(logits, groups, ladder, count, generator, told)
        middle = pull.median(dim=0).values
        spread = (pull - middle).abs().median(dim=0).values.clamp(min=1e-6)
        scored = ((pull - middle) / spread).T
        own = torch.full((scored.shape[0], len(vocabulary)), float("-inf"))
        own[:, place[groups.flatten()]] = scored.repeat_interleave(GROUP, dim=1)
        lowest = torch.minimum(lowest, own)
    return lowest


def _group_margins(
    logits: TokenLogits,
    groups: torch.Tensor,
    ladder: Ladder,
    count: int,
    generator: torch.Generator,
    told: Told,
) -> torch.Tensor:
    """Mean margins (G, K) of groups among ``count`` words of other classes; each meets a few classes."""
    holding = torch.tensor(ladder.sources)
    classes, met = len(ladder.words), min(len(holding), SOURCES)
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
