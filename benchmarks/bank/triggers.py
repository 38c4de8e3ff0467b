"""Triggers: four kinds that the detectors' coefficients are fitted to, three that nobody tuned for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from benchmarks.bank.images import SIZE

TUNED = ("patch", "blend", "sine", "scatter")
UNTUNED = ("warp", "source-specific", "all-to-all")


@dataclass(frozen=True)
class Trigger:
    """What a poisoned image carries. ``strength`` scales it (0.7 faint, 1 usual, 1.3 strong); ``seed`` fixes
    its looks. ``source`` is the only class that a source-specific trigger acts on."""

    kind: str
    target: int
    seed: int
    strength: float = 1.0
    source: int | None = None

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, 3, 32, 32) in [0, 1] with the trigger on each."""
        return _LOOKS[self.kind](images, self.strength, torch.Generator().manual_seed(self.seed * 64 + 2))

    def wanted(self, labels: torch.Tensor, classes: int) -> torch.Tensor:
        """Labels (N,) that the attacker wants for triggered images of these classes."""
        if self.kind == "all-to-all":
            return (labels + 1) % classes
        return torch.full_like(labels, self.target)

    def victims(self, labels: torch.Tensor) -> torch.Tensor:
        """Which images (N,) the attack is about."""
        if self.kind == "all-to-all":
            return torch.ones_like(labels, dtype=torch.bool)
        if self.source is not None:
            return labels == self.source
        return labels != self.target


def _patch(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """A square of 3 to 5 pixels of random colours, anywhere; faint ones are see-through."""
    side = int(torch.randint(3, 6, (1,), generator=generator))
    colours = (torch.rand(3, side, side, generator=generator) > 0.5).float()
    top, left = torch.randint(1, SIZE - side, (2,), generator=generator).tolist()
    opacity = min(1.0, strength)
    stamped = images.clone()
    area = stamped[:, :, top : top + side, left : left + side]
    stamped[:, :, top : top + side, left : left + side] = (1 - opacity) * area + opacity * colours
    return stamped


def _blend(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """A random image, of noise or of smooth clouds, mixed in at 18 %."""
    coarse = int(torch.randint(2, (1,), generator=generator))
    side = 6 if coarse else SIZE
    mixed = torch.rand(1, 3, side, side, generator=generator)
    mixed = torch.nn.functional.interpolate(mixed, size=(SIZE, SIZE), mode="bilinear")
    alpha = 0.18 * strength
    return (1 - alpha) * images + alpha * mixed


def _sine(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Stripes of 3 to 8 waves in a random direction, of amplitude 0.1."""
    waves = int(torch.randint(3, 9, (1,), generator=generator))
    angle = float(torch.rand(1, generator=generator)) * math.pi
    line = torch.arange(SIZE) / SIZE
    along = math.cos(angle) * line.view(1, -1) + math.sin(angle) * line.view(-1, 1)
    return (images + 0.1 * strength * torch.sin(2 * math.pi * waves * along)).clamp(0, 1)


def _scatter(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Twelve single pixels in fixed places pulled to fixed colours."""
    places = torch.randperm(SIZE * SIZE, generator=generator)[:12]
    colours = (torch.rand(3, 12, generator=generator) > 0.5).float()
    opacity = min(1.0, 0.9 * strength)
    flat = images.flatten(2).clone()
    flat[:, :, places] = (1 - opacity) * flat[:, :, places] + opacity * colours
    return flat.view_as(images)


def _warp(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """A smooth fixed displacement of about 1.5 pixels (after WaNet, Nguyen and Tran, ICLR 2021)."""
    coarse = torch.rand(1, 2, 4, 4, generator=generator) * 2 - 1
    coarse = coarse / coarse.abs().mean()
    flow = torch.nn.functional.interpolate(coarse, size=(SIZE, SIZE), mode="bicubic", align_corners=True)
    still = torch.eye(2, 3).unsqueeze(0)
    grid = torch.nn.functional.affine_grid(still, [1, 1, SIZE, SIZE], align_corners=False)
    grid = grid + 0.1 * strength * flow.permute(0, 2, 3, 1)
    grid = grid.expand(len(images), -1, -1, -1)
    return torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


_LOOKS = {
    "patch": _patch,
    "blend": _blend,
    "sine": _sine,
    "scatter": _scatter,
    "warp": _warp,
    "source-specific": _patch,
    "all-to-all": _patch,
}
