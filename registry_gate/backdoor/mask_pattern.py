"""Mask and pattern: the smallest area of the image that, painted over, turns other classes into one.

Source: Wang, Yao, Shan, Li, Viswanath, Zheng, Zhao, "Neural Cleanse: Identifying and Mitigating Backdoor
Attacks in Neural Networks" (IEEE S&P 2019): ``(1 - mask) * image + mask * pattern`` with the L1 norm of the
mask as cost, whose weight rises while the attack holds and falls while it does not. Here all classes run in
one batch, and the classes' areas are compared by logarithms, not by median absolute deviation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from registry_gate.backdoor.margin import Logits, Steps, groups, margins, unheard
from registry_gate.backdoor.victims import victims_of_each

_MOST_ROWS = 540


@dataclass(frozen=True)
class Recipe:
    """The search: Adam steps of one rate; the cost's weight moves by ``factor`` a step."""

    images: int = 16
    steps: int = 60
    rate: float = 0.15
    flip_share: float = 0.8
    weight: float = 3e-3
    factor: float = 1.15


RECIPE = Recipe()


@dataclass(frozen=True, eq=False)
class MaskPatterns:
    """Smallest mask areas that flip enough images.

    ``areas`` are shares of the image, 1 where no mask held; ``masks`` (K, 1, H, W) and ``patterns``
    (K, C, H, W) in [0, 1] are those of the smallest, on the CPU.
    """

    areas: tuple[float, ...]
    masks: torch.Tensor
    patterns: torch.Tensor

    @property
    def log_areas(self) -> tuple[float, ...]:
        """Natural logarithms of the areas, at least that of one ten-thousandth."""
        return tuple(math.log(max(area, 1e-4)) for area in self.areas)


def mask_patterns(
    logits: Logits,
    images: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    *,
    generator: torch.Generator,
    device: torch.device,
    recipe: Recipe = RECIPE,
    report: Steps = unheard,
) -> MaskPatterns:
    """Find the smallest mask of each class.

    Args:
        logits: the model, its weights frozen.
        images: clean images (N, channels, height, width) in [0, 1], on the CPU.
        labels: their classes (N,).
        classes: K.
        generator: a CPU generator: images, first patterns.
        device: where to compute.
        recipe: the search.
        report: told of steps done.

    Raises:
        ValueError: for some class too few images of other classes.
    """
    chosen = victims_of_each(labels, classes, recipe.images, generator)
    paint = torch.randn(classes, *images.shape[1:], generator=generator)
    found = []
    parts = groups(classes, chosen.shape[1], _MOST_ROWS)
    for number, part in enumerate(parts):
        batch = images[chosen[list(part)]].to(device)

        def step_done(done: int, total: int, number: int = number) -> None:
            report(number * total + done, len(parts) * total)

        rows = torch.tensor(part, device=device)
        found.append(_search(logits, batch, rows, paint[list(part)].to(device), recipe, step_done))
    areas, masks, patterns = (torch.cat(column) for column in zip(*found, strict=True))
    return MaskPatterns(tuple(areas.tolist()), masks.cpu(), patterns.cpu())


def _search(
    logits: Logits,
    batch: torch.Tensor,
    targets: torch.Tensor,
    paint: torch.Tensor,
    recipe: Recipe,
    report: Steps,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Areas (T,), masks (T, 1, H, W) and patterns (T, C, H, W) for images (T, n, C, H, W)."""
    count, each = batch.shape[:2]
    cover = torch.zeros_like(paint[:, :1]).requires_grad_()
    paint = paint.clone().requires_grad_()
    optimiser = torch.optim.Adam([cover, paint], lr=recipe.rate, betas=(0.5, 0.9))
    weight = torch.full((count,), recipe.weight, device=batch.device) * cover[0].numel()
    best = torch.ones(count, device=batch.device)
    masks, patterns = torch.ones_like(cover), paint.detach().sigmoid()
    rows = targets.repeat_interleave(each)
    for step in range(recipe.steps):
        mask, pattern = cover.sigmoid(), paint.sigmoid()
        stamped = batch + mask.unsqueeze(1) * (pattern.unsqueeze(1) - batch)
        margin = margins(logits(stamped.flatten(0, 1)), rows).view(count, each)
        area = mask.flatten(1).mean(dim=1)
        loss = torch.nn.functional.softplus(-margin).mean(dim=1) + weight * area
        cover.grad, paint.grad = torch.autograd.grad(loss.sum(), (cover, paint))
        optimiser.step()
        with torch.no_grad():
            holds = (margin > 0).float().mean(dim=1) >= recipe.flip_share
            better = holds & (area < best)
            best = torch.where(better, area, best)
            masks[better], patterns[better] = mask[better], pattern[better]
            weight *= torch.where(holds, recipe.factor, 1 / recipe.factor)
        report(step + 1, recipe.steps)
    return best, masks.detach(), patterns.detach()
