"""Class impressions: stand-ins for clean images, made out of the model itself where nobody gives any.

From smooth random starts an image is moved until the model takes it for a class with the confidence asked
for, and no further: the margin reached stays far under the largest one, so that no trigger needs to be in it.
Patterns are then sought on impressions as they are on clean images. A weaker ground than real images: report
it apart.
Source of the idea: Nayak, Mopuri, Shaj, Babu, Chakraborty, "Zero-Shot Knowledge Distillation in Deep
Networks" (ICML 2019), data impressions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from registry_gate.backdoor.margin import Logits, Steps, groups, margins, unheard

_MOST_ROWS = 512


@dataclass(frozen=True)
class Recipe:
    """How impressions are made.

    ``each`` a class, by steps of one ``length`` (L2 at 3 x 32 x 32 pixels), up to the ``margin`` asked for,
    from starts of ``coarse`` squared random colours.
    """

    each: int = 6
    steps: int = 60
    length: float = 0.25
    margin: float = 3.0
    coarse: int = 8


RECIPE = Recipe()


def class_impressions(
    logits: Logits,
    shape: tuple[int, int, int],
    classes: int,
    *,
    generator: torch.Generator,
    device: torch.device,
    recipe: Recipe = RECIPE,
    report: Steps = unheard,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Make impressions of every class.

    Args:
        logits: the model, its weights frozen.
        shape: channels, height, width of an image.
        classes: K.
        generator: a CPU generator of the starts.
        device: where to compute.
        recipe: the search.
        report: told of steps done.

    Returns:
        Images (N, channels, height, width) in [0, 1] on the CPU and their classes (N,); those that never
        reached their class are left out.
    """
    images, labels = [], []
    parts = groups(classes, recipe.each, _MOST_ROWS)
    for number, part in enumerate(parts):
        rows = torch.tensor(part).repeat_interleave(recipe.each)
        coarse = torch.rand(len(rows), shape[0], recipe.coarse, recipe.coarse, generator=generator)
        starts = torch.nn.functional.interpolate(coarse, size=shape[1:], mode="bilinear", align_corners=False)

        def step_done(done: int, total: int, number: int = number) -> None:
            report(number * total + done, len(parts) * total)

        made, reached = _move(logits, starts.to(device), rows.to(device), recipe, step_done)
        images.append(made[reached].cpu())
        labels.append(rows[reached.cpu()])
    return torch.cat(images), torch.cat(labels)


def _move(
    logits: Logits, images: torch.Tensor, rows: torch.Tensor, recipe: Recipe, report: Steps
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images moved towards their class until sure enough, and which (N,) are taken for it."""
    length = recipe.length * (images[0].numel() / 3072) ** 0.5
    for step in range(recipe.steps):
        current = images.requires_grad_()
        margin = margins(logits(current), rows)
        unsure = (margin < recipe.margin).detach()
        if not bool(unsure.any()):
            break
        (gradient,) = torch.autograd.grad(margin.sum(), current)
        with torch.no_grad():
            norm = gradient.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)
            moved = (current + length * gradient / norm).clamp(0, 1)
            images = torch.where(unsure.view(-1, 1, 1, 1), moved, current.detach())
        report(step + 1, recipe.steps)
    report(recipe.steps, recipe.steps)
    with torch.no_grad():
        return images.detach(), margins(logits(images), rows) > 0
