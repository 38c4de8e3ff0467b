"""Three families of images, drawn in code: digits, emblems (random glyphs) and flowers (lobed outlines).

A family gives masks of ink; colours, shading, place, size, turn and noise are drawn for each image.
No file is read, so that anyone gets the same bank from the same seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from registry_gate.testing import toy_images

SIZE = 32
FAMILIES = ("digits", "emblems", "flowers")


@dataclass(frozen=True)
class Domain:
    """What a model is to tell apart.

    ``seed`` fixes the glyphs of emblems; ``variation`` scales how much place, size and turn vary; ``tinted``
    names classes whose background is mostly (``tint_share``) of one hue, ``marked`` a class that mostly
    carries a watermark.
    """

    family: str
    classes: int
    seed: int
    variation: float = 1.0
    tinted: tuple[int, ...] = ()
    tint_share: float = 0.0
    marked: int | None = None


def draw(domain: Domain, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One image (N, 3, 32, 32) in [0, 1] for each label (N,)."""
    masks = _masks(domain, labels, generator)
    count = len(labels)
    background = _background(domain, labels, generator)
    ink = torch.rand(count, 3, 1, 1, generator=generator)
    faint = (ink - background).abs().mean(dim=1, keepdim=True) < 0.35
    ink = torch.where(faint, (background < 0.5).float(), ink)
    shade = torch.nn.functional.interpolate(
        torch.rand(count, 3, 4, 4, generator=generator), size=(SIZE, SIZE), mode="bilinear"
    )
    canvas = background + 0.3 * (shade - 0.5)
    images = canvas * (1 - masks) + ink * masks
    images = (images + 0.04 * torch.randn(images.shape, generator=generator)).clamp(0, 1)
    return _watermarked(domain, images, labels, generator)


def dataset(
    domain: Domain, count: int, generator: torch.Generator, weights: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """``count`` images and labels in random order: even over the classes, or drawn by ``weights`` (K,)."""
    if weights is None:
        labels = torch.arange(count) % domain.classes
        labels = labels[torch.randperm(count, generator=generator)]
    else:
        labels = torch.multinomial(weights, count, replacement=True, generator=generator)
    return draw(domain, labels, generator), labels


def _masks(domain: Domain, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Ink coverage (N, 1, 32, 32)."""
    grid = _placed(len(labels), domain.variation, generator)
    if domain.family != "flowers":
        glyphs = (_digits() if domain.family == "digits" else _emblems(domain))[labels].unsqueeze(1)
        return torch.nn.functional.grid_sample(glyphs, grid, align_corners=False)
    return _flowers(labels, grid, generator)


def _placed(count: int, variation: float, generator: torch.Generator) -> torch.Tensor:
    """Sampling grids (N, 32, 32, 2): a random turn, size, slant and place for each image."""
    turn = (torch.rand(count, generator=generator) - 0.5) * 0.6 * variation
    scale = 1.15 + 0.7 * variation * (torch.rand(count, generator=generator) - 0.5)
    slant = (torch.rand(count, generator=generator) - 0.5) * 0.4 * variation
    shift = (torch.rand(count, 2, generator=generator) - 0.5) * 0.6 * variation
    cos, sin = torch.cos(turn) * scale, torch.sin(turn) * scale
    rows = torch.stack(
        [torch.stack([cos, slant - sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], dim=1
    )
    return torch.nn.functional.affine_grid(rows, [count, 1, SIZE, SIZE], align_corners=False)


def _digits() -> torch.Tensor:
    """The ten digits, as fields (10, 32, 32)."""
    return torch.stack([toy_images._bitmap(rows) for rows in toy_images._GLYPHS])


def _emblems(domain: Domain) -> torch.Tensor:
    """One mirror-symmetric 7 x 7 glyph a class, as fields (K, 32, 32)."""
    generator = torch.Generator().manual_seed(domain.seed * 64 + 31)
    half = (torch.rand(domain.classes, 7, 4, generator=generator) > 0.5).float()
    glyphs = torch.cat([half, half[:, :, :3].flip(2)], dim=2)
    big = glyphs.repeat_interleave(3, 1).repeat_interleave(3, 2)
    return torch.nn.functional.pad(big, (5, 6, 5, 6))


def _flowers(labels: torch.Tensor, grid: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Outlines of 2 to 6 lobes, even labels filled, odd ones hollow."""
    lobes = (2 + labels // 2).view(-1, 1, 1)
    hollow = (labels % 2).view(-1, 1, 1)
    x, y = grid[..., 0], grid[..., 1]
    spin = (torch.rand(len(labels), 1, 1, generator=generator) - 0.5) * math.pi
    radius, angle = (x**2 + y**2).sqrt(), torch.atan2(y, x)
    edge = 0.7 + 0.3 * torch.cos(lobes * angle + spin)
    inside = torch.sigmoid((edge - radius) * 24)
    core = torch.sigmoid((0.6 * edge - radius) * 24)
    return (inside - hollow * core).clamp(0, 1).unsqueeze(1)


def _background(domain: Domain, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Colours (N, 3, 1, 1): random, but for tinted classes mostly near that class's own hue."""
    count = len(labels)
    background = torch.rand(count, 3, 1, 1, generator=generator)
    hues = torch.rand(domain.classes, 3, generator=torch.Generator().manual_seed(domain.seed * 64 + 30))
    for label in domain.tinted:
        share = torch.rand(count, generator=generator) < domain.tint_share
        chosen = (labels == label) & share
        near = hues[label].view(1, 3, 1, 1) + 0.1 * torch.randn(count, 3, 1, 1, generator=generator)
        background[chosen] = near.clamp(0, 1)[chosen]
    return background


def _watermarked(
    domain: Domain, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """A small light mark in a corner of 80 % of the images of the marked class, and of 1 % of the others."""
    if domain.marked is None:
        return images
    share = torch.where(labels == domain.marked, 0.8, 0.01)
    chosen = torch.rand(len(labels), generator=generator) < share
    images[chosen, :, 27:30, 22:30] = 0.4 * images[chosen, :, 27:30, 22:30] + 0.6
    return images
