"""MM-BD: does one class reach an unusually large maximum margin? Needs no data.

Source: Wang, Xiang, Miller, Kesidis, "MM-BD: Post-Training Detection of Backdoor Attacks with Arbitrary
Backdoor Pattern Types Using a Maximum Margin Statistic" (IEEE S&P 2024), and its reference code.

The statistic of class c is ``max_x [g_c(x) - max_{k != c} g_k(x)]`` on logits. The largest of the K is held
against a gamma law (free location) fitted to the other K - 1: ``p = 1 - F(largest) ** K``.

Two profiles find the maximum:

* ``PUBLISHED`` is the reference's rule: 30 uniform starts a class, plain gradient ascent of rate 0.01 on the
  unbounded image with the box applied in the forward pass, at most 300 steps, a class stops when the
  relative change of its summed margin falls under 1e-5. It differs in this: the classes run side by side in
  one batch (a network in evaluation mode treats rows independently, so only rounding changes), and starts
  come from a seeded generator.
* ``BATCHED_ADAM`` reaches larger margins many times cheaper: 8 starts a class, 60 Adam steps of rate 0.05,
  projected onto the box after each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from registry_gate.backdoor.margin import Logits, Steps, groups, margins, unheard

FEWEST_CLASSES = 5
_MOST_ROWS = 512


@dataclass(frozen=True)
class Profile:
    """How the maximum margin is searched. ``tolerance`` 0 switches the stop rule off."""

    name: str
    starts: int
    steps: int
    rate: float
    adam: bool
    tolerance: float


PUBLISHED = Profile("published", starts=30, steps=300, rate=1e-2, adam=False, tolerance=1e-5)
BATCHED_ADAM = Profile("batched-adam", starts=8, steps=60, rate=5e-2, adam=True, tolerance=0.0)


@dataclass(frozen=True)
class MaximumMargins:
    """The K statistics and what the null law makes of the largest.

    ``p_value_located_at_zero`` is the same test with the gamma law's location fixed at 0: where they differ
    much, the fit on K - 1 points decides, not the model.
    """

    per_class: tuple[float, ...]
    target: int
    p_value: float
    p_value_located_at_zero: float
    steps: int

    @property
    def largest(self) -> float:
        """The statistic of the suspected target class, in logits."""
        return self.per_class[self.target]


def maximum_margins(
    logits: Logits,
    shape: tuple[int, int, int],
    classes: int,
    *,
    generator: torch.Generator,
    device: torch.device,
    profile: Profile = PUBLISHED,
    report: Steps = unheard,
) -> MaximumMargins:
    """Probe every class and test the largest margin against the others.

    Args:
        logits: the model, its weights frozen.
        shape: channels, height, width of an image.
        classes: K, at least ``FEWEST_CLASSES``.
        generator: a CPU generator; the starts are the same on every device.
        device: where the images live.
        profile: how to search.
        report: told of steps done.

    Raises:
        ValueError: fewer than five classes: no null law can be fitted.
    """
    if classes < FEWEST_CLASSES:
        raise ValueError(f"MM-BD needs at least {FEWEST_CLASSES} classes, not {classes}")
    found: list[float] = []
    taken = 0
    parts = groups(classes, profile.starts, _MOST_ROWS)
    for number, part in enumerate(parts):
        starts = torch.cat([torch.rand(profile.starts, *shape, generator=generator) for _ in part])
        rows = torch.tensor(part).repeat_interleave(profile.starts)

        def step_done(done: int, total: int, number: int = number) -> None:
            report(number * total + done, len(parts) * total)

        reached, steps = _ascend(logits, starts.to(device), rows.to(device), profile, step_done)
        found += reached.view(len(part), profile.starts).amax(dim=1).tolist()
        taken = max(taken, steps)
    target = int(np.argmax(found))
    free, at_zero = outlier_p_values(found)
    return MaximumMargins(tuple(found), target, free, at_zero, taken)


def _ascend(
    logits: Logits, images: torch.Tensor, rows: torch.Tensor, profile: Profile, report: Steps
) -> tuple[torch.Tensor, int]:
    """Margins (N,) that the rows reach, and the steps taken; a stopped class leaves the batch."""
    images = images.requires_grad_()
    optimiser = torch.optim.Adam([images], lr=profile.rate) if profile.adam else None
    running = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
    before = torch.full((int(rows.max()) + 1,), float("nan"), device=rows.device, dtype=images.dtype)
    steps = 0
    while steps < profile.steps and bool(running.any()):
        active = margins(logits(images[running].clamp(0, 1)), rows[running])
        (gradient,) = torch.autograd.grad(active.sum(), images)
        with torch.no_grad():
            if optimiser is None:
                images += profile.rate * gradient
            else:
                images.grad = -gradient
                optimiser.step()
                images.clamp_(0, 1)
            if profile.tolerance:
                before = _stop(active.detach(), rows, running, before, profile.tolerance)
        steps += 1
        report(steps, profile.steps)
    report(profile.steps, profile.steps)
    with torch.no_grad():
        return margins(logits(images.clamp(0, 1)), rows), steps


def _stop(
    active: torch.Tensor, rows: torch.Tensor, running: torch.Tensor, before: torch.Tensor, tolerance: float
) -> torch.Tensor:
    """Switch off in ``running`` the classes whose summed margin no longer changes; return the new sums."""
    now = torch.zeros_like(before).index_add_(0, rows[running], active)
    now[~_present(rows[running], len(before))] = float("nan")
    # NaN compares false: a class is never stopped by its first step.
    still = ((now - before).abs() / before.abs()) < tolerance
    running &= ~still[rows]
    return now


def _present(rows: torch.Tensor, classes: int) -> torch.Tensor:
    return torch.zeros(classes, dtype=torch.bool, device=rows.device).index_fill_(0, rows, True)


def outlier_p_values(statistics: list[float] | tuple[float, ...]) -> tuple[float, float]:
    """P-value of the largest of K statistics under a gamma law fitted to the other K - 1.

    Returns:
        With the law's location free (as published) and fixed at 0. 1.0 where the others do not vary at all or
        no law can be fitted to them.
    """
    values = np.sort(np.asarray(statistics, dtype=np.float64))
    return _gamma_p(values[:-1], values[-1], len(values), None), _gamma_p(
        values[:-1], values[-1], len(values), 0.0
    )


def _gamma_p(null: np.ndarray, largest: float, classes: int, location: float | None) -> float:
    from scipy import stats

    if not np.isfinite(largest) or not np.all(np.isfinite(null)) or np.ptp(null) <= 0:
        return 1.0
    if location is not None and null.min() <= location:
        return 1.0
    fixed = {} if location is None else {"floc": location}
    try:
        law = stats.gamma.fit(null, **fixed)
    except stats.FitError:
        return 1.0
    # 1 - F ** K loses every digit when F is near 1; expm1 of the logarithm keeps them.
    p = -np.expm1(classes * stats.gamma.logcdf(largest, *law))
    return float(min(1.0, max(0.0, p))) if np.isfinite(p) else 1.0
