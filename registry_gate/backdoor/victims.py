"""Which clean images a pattern for one class is sought on: of the other classes, as evenly as they allow."""

from __future__ import annotations

import torch

FEWEST_IMAGES = 6


def draw_victims(labels: torch.Tensor, target: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """Indices of ``count`` images, spread as evenly over the classes other than ``target`` as they allow."""
    order = torch.randperm(len(labels), generator=generator)
    order = order[labels[order] != target]
    seen: dict[int, int] = {}
    ranks = []
    for label in labels[order].tolist():
        seen[label] = seen.get(label, -1) + 1
        ranks.append(seen[label])
    return order[torch.argsort(torch.tensor(ranks), stable=True)][:count]


def victims_of_each(
    labels: torch.Tensor, classes: int, count: int, generator: torch.Generator
) -> torch.Tensor:
    """Indices (K, n) of the images that each class's pattern is sought on; n is the same for every class.

    Args:
        labels: classes of the clean images (N,).
        classes: K.
        count: images wanted a class.
        generator: draws them.

    Raises:
        ValueError: for some class fewer than ``FEWEST_IMAGES`` images of other classes are there.
    """
    chosen = [draw_victims(labels, target, count, generator) for target in range(classes)]
    each = min(len(index) for index in chosen)
    if each < FEWEST_IMAGES:
        raise ValueError(f"{each} usable images of other classes for some class, {FEWEST_IMAGES} needed")
    return torch.stack([index[:each] for index in chosen])
