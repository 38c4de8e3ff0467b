"""Two searches for the image that a class is surest of: the published one, and one many times cheaper."""

from __future__ import annotations

import torch

from registry_gate.backdoor.margin import Logits, Steps, margins

_STALL = 10
_ADAM = (0.9, 0.999, 1e-8)


def ascend(
    logits: Logits,
    images: torch.Tensor,
    rows: torch.Tensor,
    *,
    rate: float,
    steps: int,
    tolerance: float,
    report: Steps,
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Plain gradient ascent on unbounded images, the box applied in the forward pass only (MM-BD's code).

    Args:
        logits: the model, its weights frozen.
        images: starts (N, channels, height, width), overwritten.
        rows: the class each start climbs for (N,).
        rate: of the ascent.
        steps: at most.
        tolerance: a class leaves when the relative change of its summed margin falls below.
        report: told of steps done.

    Returns:
        Margins (N,) reached at the end, the images they were reached with, and the steps taken.
    """
    images = images.requires_grad_()
    running = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
    before = torch.full((int(rows.max()) + 1,), float("nan"), device=rows.device, dtype=images.dtype)
    taken = 0
    while taken < steps and bool(running.any()):
        active = margins(logits(images[running].clamp(0, 1)), rows[running])
        (gradient,) = torch.autograd.grad(active.sum(), images)
        with torch.no_grad():
            images += rate * gradient
            before = _leave(active.detach(), rows, running, before, tolerance)
        taken += 1
        report(taken, steps)
    report(steps, steps)
    with torch.no_grad():
        seen = images.clamp(0, 1)
        return margins(logits(seen), rows), seen, taken


def _leave(
    active: torch.Tensor, rows: torch.Tensor, running: torch.Tensor, before: torch.Tensor, tolerance: float
) -> torch.Tensor:
    """Switch off in ``running`` the classes whose summed margin no longer changes; return the new sums."""
    now = torch.zeros_like(before).index_add_(0, rows[running], active)
    present = torch.zeros(len(before), dtype=torch.bool, device=rows.device)
    now[~present.index_fill_(0, rows[running], True)] = float("nan")
    # NaN compares false: a class is never stopped by its first step.
    still = ((now - before).abs() / before.abs()) < tolerance
    running &= ~still[rows]
    return now


def climb(
    logits: Logits,
    images: torch.Tensor,
    rows: torch.Tensor,
    *,
    rate: float,
    steps: int,
    tolerance: float,
    report: Steps,
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Adam with every step projected onto the box; the best image of each start is kept.

    A class leaves the batch when its best start has gained less than ``tolerance`` of its margin in ten
    steps. Arguments and results as for :func:`ascend`.
    """
    best = torch.full((len(rows),), float("-inf"), device=rows.device, dtype=images.dtype)
    kept, active = images.clone(), torch.arange(len(rows), device=rows.device)
    classes = int(rows.max()) + 1
    marks = torch.full((classes,), float("-inf"), device=rows.device, dtype=images.dtype)
    first, second = torch.zeros_like(images), torch.zeros_like(images)
    taken = 0
    while taken < steps and len(active):
        current = images[active].requires_grad_()
        margin = margins(logits(current), rows[active])
        (gradient,) = torch.autograd.grad(margin.sum(), current)
        taken += 1
        with torch.no_grad():
            better = margin > best[active]
            improved = active[better]
            best[improved], kept[improved] = margin[better], current[better]
            first[active] = _ADAM[0] * first[active] + (1 - _ADAM[0]) * gradient
            second[active] = _ADAM[1] * second[active] + (1 - _ADAM[1]) * gradient**2
            speed = (second[active] / (1 - _ADAM[1] ** taken)).sqrt() + _ADAM[2]
            images[active] = (current + rate * first[active] / (1 - _ADAM[0] ** taken) / speed).clamp(0, 1)
            if taken % _STALL == 0:
                active, marks = _climbing(best, rows, active, marks, tolerance)
        report(taken, steps)
    report(steps, steps)
    with torch.no_grad():
        margin = margins(logits(images), rows)
        better = margin > best
        kept[better] = images[better]
        return torch.maximum(margin, best), kept, taken


def _climbing(
    best: torch.Tensor, rows: torch.Tensor, active: torch.Tensor, marks: torch.Tensor, tolerance: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows whose class still gains, and the best margin (K,) of every class now."""
    now = torch.full_like(marks, float("-inf")).scatter_reduce_(0, rows, best, "amax")
    gains = (now - marks) >= tolerance * now.abs()
    return active[gains[rows[active]]], now
