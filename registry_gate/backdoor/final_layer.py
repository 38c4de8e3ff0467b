"""Weights-only signatures: does one class's row of the final layer look planted? Milliseconds a model.

Sources: Fields, Samragh, Javaheripi, Koushanfar, "Trojan Signatures in DNN Weights" (ICCV workshops 2021):
the mean of the target's row is the outlier. The spectral part compares how much of each row lies along the
first singular direction of the centred matrix, after Tran, Li, Madry, "Spectral Signatures in Backdoor
Attacks" (NeurIPS 2018), who apply it to activations. Weak alone, and silent on models whose final layer was
trained apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

FEWEST_CLASSES = 5
_POWER_STEPS = 12
_TO_DEVIATIONS = 0.6745


@dataclass(frozen=True)
class RowSignatures:
    """What each class's row shows, in robust deviations from the median row (positive: larger).

    ``means``, ``sizes`` (L2 norms), ``largest`` (largest element) and ``spectral`` (length along the first
    singular direction of the centred rows, without sign) hold K values each; ``biases`` is empty without a
    bias. ``referenced`` says that the rows were compared with those of clean models of the same family.
    """

    means: tuple[float, ...]
    sizes: tuple[float, ...]
    largest: tuple[float, ...]
    spectral: tuple[float, ...]
    biases: tuple[float, ...]
    referenced: bool

    @property
    def target(self) -> int:
        """The class whose row mean stands out most."""
        return max(range(len(self.means)), key=self.means.__getitem__)


def row_signatures(
    weight: torch.Tensor, bias: torch.Tensor | None = None, references: Sequence[torch.Tensor] = ()
) -> RowSignatures:
    """Compare the rows of a final layer with each other.

    Args:
        weight: (K, features), K at least ``FEWEST_CLASSES``.
        bias: (K,) or None.
        references: final layers of clean models of the same family, of the same shape; their mean is taken
            off first, so that what fine-tuning or planting changed is compared.

    Raises:
        ValueError: too few classes, or a reference of another shape.
    """
    if weight.ndim != 2 or len(weight) < FEWEST_CLASSES:
        raise ValueError(f"rows are compared among at least {FEWEST_CLASSES} classes")
    if any(reference.shape != weight.shape for reference in references):
        raise ValueError("a reference's final layer has another shape")
    rows = weight.detach().float().cpu()
    if references:
        rows = rows - torch.stack([item.float().cpu() for item in references]).mean(dim=0)
    centred = rows - rows.mean(dim=0)
    return RowSignatures(
        means=deviations(rows.mean(dim=1)),
        sizes=deviations(rows.norm(dim=1)),
        largest=deviations(rows.amax(dim=1)),
        spectral=deviations((centred @ _first_direction(centred)).abs()),
        biases=deviations(bias.detach().float().cpu()) if bias is not None else (),
        referenced=bool(references),
    )


def _first_direction(rows: torch.Tensor) -> torch.Tensor:
    """The first right singular vector (features,) by power iteration from the largest row: no randomness."""
    direction = rows[rows.norm(dim=1).argmax()].clone()
    for _ in range(_POWER_STEPS):
        direction = rows.T @ (rows @ direction)
        direction = direction / direction.norm().clamp(min=1e-20)
    return direction


def deviations(values: torch.Tensor) -> tuple[float, ...]:
    """Distances (K,) from the median in robust standard deviations, at most 1000 either way."""
    middle = values.median()
    spread = (values - middle).abs().median() / _TO_DEVIATIONS
    scaled = (values - middle) / spread.clamp(min=1e-6 * float(values.abs().max()) + 1e-20)
    return tuple(scaled.clamp(-1000, 1000).tolist())
