"""Margin gain: how far does one pattern of a fixed small norm lift each class on images it never saw?

For each class an additive pattern of pixel L2 norm ``radius`` is fitted to clean images of the other classes;
on other clean images the mean rise of the class's margin is measured. A backdoor's target rises further than
any other class at the same norm. A fixed-radius companion of the bounded pattern test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from registry_gate.backdoor.margin import Logits, Steps, groups, margins, unheard
from registry_gate.backdoor.victims import draw_victims, victims_of_each

_MOST_ROWS = 540
_LEAST_GAIN = 1e-3


@dataclass(frozen=True)
class Recipe:
    """The search. ``radius`` is the pixel L2 norm; ``step`` a share of it that shrinks by ``cooling``."""

    radius: float
    images: int = 20
    judged_on: int = 45
    steps: int = 30
    momentum: float = 0.8
    step: float = 0.15
    cooling: float = 0.8


@dataclass(frozen=True, eq=False)
class MarginGains:
    """Mean margin gained a class, in logits, and the patterns (K, C, H, W) that gained it, on the CPU."""

    gains: tuple[float, ...]
    radius: float
    patterns: torch.Tensor

    @property
    def log_gains(self) -> tuple[float, ...]:
        """Natural logarithms; a class that gained nothing stands at the logarithm of 0.001."""
        return tuple(math.log(max(gain, _LEAST_GAIN)) for gain in self.gains)


def margin_gains(
    logits: Logits,
    images: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    *,
    recipe: Recipe,
    generator: torch.Generator,
    device: torch.device,
    report: Steps = unheard,
) -> MarginGains:
    """Fit one pattern a class and measure what it gains elsewhere.

    Two thirds of the images, drawn at random, are fitted to; the rest judges.

    Args:
        logits: the model, its weights frozen.
        images: clean images (N, channels, height, width) in [0, 1], on the CPU.
        labels: their classes (N,).
        classes: K.
        recipe: the search; its radius is above 0.
        generator: a CPU generator.
        device: where to compute.
        report: told of steps done.

    Raises:
        ValueError: for some class too few images of other classes in one part.
    """
    order = torch.randperm(len(labels), generator=generator)
    fit, judge = order[: 2 * len(order) // 3], order[2 * len(order) // 3 :]
    chosen = fit[victims_of_each(labels[fit], classes, recipe.images, generator)]
    held_out = [
        judge[draw_victims(labels[judge], target, recipe.judged_on, generator)] for target in range(classes)
    ]
    if min(len(index) for index in held_out) == 0:
        raise ValueError("no image of another class is left to judge a pattern on")
    gains: list[float] = []
    found: list[torch.Tensor] = []
    parts = groups(classes, chosen.shape[1], _MOST_ROWS)
    for number, part in enumerate(parts):
        batch = images[chosen[list(part)]].to(device)

        def step_done(done: int, total: int, number: int = number) -> None:
            report(number * total + done, len(parts) * total)

        patterns = _fit(logits, batch, torch.tensor(part, device=device), recipe, step_done)
        for target, pattern in zip(part, patterns, strict=True):
            gains.append(_gain(logits, images[held_out[target]].to(device), target, pattern))
        found.append(patterns.cpu())
    return MarginGains(tuple(gains), recipe.radius, torch.cat(found))


def _fit(
    logits: Logits, batch: torch.Tensor, targets: torch.Tensor, recipe: Recipe, report: Steps
) -> torch.Tensor:
    """Patterns (T, C, H, W) of norm at most the radius for images (T, n, C, H, W)."""
    count, each = batch.shape[:2]
    pattern = torch.zeros_like(batch[:, 0]).requires_grad_()
    velocity = torch.zeros_like(pattern)
    rows = targets.repeat_interleave(each)
    for step in range(recipe.steps):
        stamped = (batch + pattern.unsqueeze(1)).clamp(0, 1).flatten(0, 1)
        margin = margins(logits(stamped), rows).view(count, each)
        loss = torch.nn.functional.softplus(-margin).mean(dim=1).sum()
        (gradient,) = torch.autograd.grad(loss, pattern)
        length = recipe.step * recipe.radius * (1 - recipe.cooling * step / recipe.steps)
        with torch.no_grad():
            velocity = recipe.momentum * velocity + (1 - recipe.momentum) * unit(gradient)
            pattern -= length * unit(velocity)
            pattern *= (recipe.radius / norms(pattern).clamp(min=1e-12)).clamp(max=1)
        report(step + 1, recipe.steps)
    return pattern.detach()


def _gain(logits: Logits, images: torch.Tensor, target: int, pattern: torch.Tensor) -> float:
    """Mean rise of the margin of ``target`` over images (n, C, H, W)."""
    rows = torch.full((len(images),), target, device=images.device)
    with torch.no_grad():
        before = margins(logits(images), rows)
        after = margins(logits((images + pattern).clamp(0, 1)), rows)
    return float((after - before).mean())


def norms(patterns: torch.Tensor) -> torch.Tensor:
    """L2 norms of patterns (T, C, H, W), as (T, 1, 1, 1)."""
    lengths: torch.Tensor = patterns.flatten(1).norm(dim=1)
    return lengths.view(-1, 1, 1, 1)


def unit(patterns: torch.Tensor) -> torch.Tensor:
    """Each pattern scaled to norm 1 (a zero pattern stays zero)."""
    scaled: torch.Tensor = patterns / norms(patterns).clamp(min=1e-12)
    return scaled
