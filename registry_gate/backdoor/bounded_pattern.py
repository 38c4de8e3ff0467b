"""Bounded pattern: is one class reached from all others by a pattern much smaller than others need?

For each class the smallest additive pattern (pixel L2 norm) is sought that turns at least 80 % of clean
images of the other classes into it. A backdoor is a shortcut to its target for every source at once, so the
target needs about half the norm of the others. A relative of Neural Cleanse (Wang et al., S&P 2019) and of
universal adversarial perturbations (Moosavi-Dezfooli et al., CVPR 2017).

The score is the gap: median over the other classes of ln(norm), minus the smallest ln(norm).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from registry_gate.backdoor.margin import Logits, Steps, groups, margins, unheard
from registry_gate.backdoor.margin_gain import norms, unit
from registry_gate.backdoor.victims import victims_of_each

FEWEST_CLASSES = 3
_MOST_ROWS = 540
_REFERENCE_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Recipe:
    """The search. Radii are pixel L2 norms at 3 x 32 x 32; they grow with the root of the pixel count."""

    images: int = 27
    steps: int = 32
    radius: float = 3.0
    widest: float = 12.0
    flip_share: float = 0.8
    momentum: float = 0.8
    step: float = 0.15
    shrink: float = 0.93
    grow: float = 1.06
    patience: int = 10


RECIPE = Recipe()


@dataclass(frozen=True, eq=False)
class BoundedPatterns:
    """Norms per class, the gap and the patterns.

    ``norms`` holds the widest radius for a class that no pattern reached; ``reached`` counts those that some
    did. ``patterns`` (K, channels, height, width) are the smallest found, on the CPU.
    """

    norms: tuple[float, ...]
    gap: float
    target: int
    reached: int
    patterns: torch.Tensor


def bounded_patterns(
    logits: Logits,
    images: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    *,
    generator: torch.Generator,
    device: torch.device,
    recipe: Recipe = RECIPE,
    report: Steps = unheard,
) -> BoundedPatterns:
    """Find the smallest pattern of each class and compare the classes.

    Args:
        logits: the model, its weights frozen.
        images: clean images (N, channels, height, width) in [0, 1], on the CPU.
        labels: their classes (N,).
        classes: K, at least ``FEWEST_CLASSES``.
        generator: a CPU generator that draws the images of each class.
        device: where to compute.
        recipe: the search.
        report: told of steps done.

    Raises:
        ValueError: too few classes, or for some class too few images of other classes.
    """
    if classes < FEWEST_CLASSES:
        raise ValueError(f"a gap between classes needs at least {FEWEST_CLASSES} of them, not {classes}")
    chosen = victims_of_each(labels, classes, recipe.images, generator)
    norms: list[float] = []
    patterns: list[torch.Tensor] = []
    parts = groups(classes, chosen.shape[1], _MOST_ROWS)
    for number, part in enumerate(parts):
        batch = images[chosen[list(part)]].to(device)

        def step_done(done: int, total: int, number: int = number) -> None:
            report(number * total + done, len(parts) * total)

        best, smallest = _search(logits, batch, torch.tensor(part, device=device), recipe, step_done)
        norms += best.tolist()
        patterns.append(smallest.cpu())
    return _compare(norms, torch.cat(patterns), _scale(images) * recipe.widest)


def _scale(images: torch.Tensor) -> float:
    return math.sqrt(images[0].numel() / _REFERENCE_PIXELS)


def _search(
    logits: Logits, batch: torch.Tensor, targets: torch.Tensor, recipe: Recipe, report: Steps
) -> tuple[torch.Tensor, torch.Tensor]:
    """Smallest norms (T,) and patterns (T, C, H, W) for images (T, n, C, H, W), all targets side by side."""
    count, each = batch.shape[:2]
    scale = math.sqrt(batch[0, 0].numel() / _REFERENCE_PIXELS)
    widest = recipe.widest * scale
    pattern = torch.zeros_like(batch[:, 0]).requires_grad_()
    velocity = torch.zeros_like(pattern)
    radius = torch.full((count,), recipe.radius * scale, device=batch.device)
    best = torch.full((count,), widest, device=batch.device)
    smallest = torch.zeros_like(velocity)
    rows = targets.repeat_interleave(each)
    for step in range(recipe.steps + 1):
        stamped = (batch + pattern.unsqueeze(1)).clamp(0, 1).flatten(0, 1)
        margin = margins(logits(stamped), rows).view(count, each)
        loss = torch.nn.functional.softplus(-margin).mean(dim=1).sum()
        (gradient,) = torch.autograd.grad(loss, pattern)
        with torch.no_grad():
            norm = norms(pattern).flatten()
            flips = (margin > 0).float().mean(dim=1) >= recipe.flip_share
            better = flips & (norm < best)
            best = torch.where(better, norm, best)
            smallest[better] = pattern[better]
            grown = (radius * recipe.grow).clamp(max=widest) if step > recipe.patience else radius
            radius = torch.where(flips, recipe.shrink * torch.minimum(radius, norm), grown)
            velocity = recipe.momentum * velocity + (1 - recipe.momentum) * unit(gradient)
            pattern -= recipe.step * radius.view(-1, 1, 1, 1) * unit(velocity)
            pattern *= (radius.view(-1, 1, 1, 1) / norms(pattern).clamp(min=1e-12)).clamp(max=1)
        report(step, recipe.steps)
    return best, smallest


def _compare(norms: list[float], patterns: torch.Tensor, widest: float) -> BoundedPatterns:
    target = int(np.argmin(norms))
    # A pattern of norm 0 (a model that answers one class for everything) must not give an infinite gap.
    logs = np.log(np.maximum(norms, 1e-3))
    gap = float(np.median(np.delete(logs, target)) - logs[target])
    reached = sum(norm < widest for norm in norms)
    return BoundedPatterns(tuple(norms), gap, target, reached, patterns)
