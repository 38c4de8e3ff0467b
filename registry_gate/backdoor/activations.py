"""Activation inspection: what do small patterns use inside the network that clean images do not?

Seen are the inputs of the final linear layer ("units"). Three things are stated: units that no clean image
wakes (dormant) and units that a few clean images wake far above the rest (extreme), as counts; and for each
class, how far the images that a small pattern drags into it lie from the class's own images (novelty): a
trigger reaches its target by units of its own, a pattern that mimics the class by the class's. Related: Liu
et al., "ABS" (CCS 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

_DORMANT = 0.01
_EXTREME = 8.0
_FEWEST_OF_CLASS = 3


@dataclass(frozen=True)
class UnitInspection:
    """Counts of odd units among ``units``, and novelty a class: ln of the mean distance, in clean deviations.

    ``novelty`` is 0 for a class with fewer than three clean images, about which nothing is said.
    """

    units: int
    dormant: int
    extreme: int
    novelty: tuple[float, ...]


def inspect_units(
    clean: torch.Tensor, labels: torch.Tensor, dragged: tuple[torch.Tensor, ...]
) -> UnitInspection:
    """Inspect units on clean and on dragged images.

    Args:
        clean: units of clean images (N, U).
        labels: their classes (N,).
        dragged: for each class the units (n, U) of images of other classes that carry the class's pattern.
    """
    tops = clean.abs().amax(dim=0)
    usual = tops.median().clamp(min=1e-12)
    centred = clean - clean.mean(dim=0)
    spread = centred.pow(2).mean(dim=0).sqrt()
    peaks = centred.abs().amax(dim=0) / spread.clamp(min=1e-9)
    pooled = _within(clean, labels, len(dragged))
    novelty = tuple(_novelty(clean[labels == label], units, pooled) for label, units in enumerate(dragged))
    return UnitInspection(
        units=clean.shape[1],
        dormant=int((tops < _DORMANT * usual).sum()),
        extreme=int(((peaks > _EXTREME) & (spread > 1e-9)).sum()),
        novelty=novelty,
    )


def _within(clean: torch.Tensor, labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Standard deviation of each unit (U,) within classes, floored so that dormant units do not decide."""
    parts = [clean[labels == label] for label in range(classes)]
    parts = [part - part.mean(dim=0) for part in parts if len(part)]
    spread = torch.cat(parts).pow(2).mean(dim=0).sqrt()
    return spread.clamp(min=0.05 * float(spread.mean()) + 1e-9)


def _novelty(own: torch.Tensor, dragged: torch.Tensor, spread: torch.Tensor) -> float:
    if len(own) < _FEWEST_OF_CLASS or not len(dragged):
        return 0.0
    away = (dragged - own.mean(dim=0)) / spread
    return float(away.pow(2).mean(dim=1).sqrt().mean().clamp(min=1e-6).log())
