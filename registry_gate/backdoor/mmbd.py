"""MM-BD: does one class reach an unusually large maximum margin? Needs no data.

Source: Wang, Xiang, Miller, Kesidis, "MM-BD: Post-Training Detection of Backdoor Attacks with Arbitrary
Backdoor Pattern Types Using a Maximum Margin Statistic" (IEEE S&P 2024), and its reference code.

The statistic of class c is ``max_x [g_c(x) - max_{k != c} g_k(x)]`` on logits. The largest of the K is held
against a gamma law (free location) fitted to the other K - 1: ``p = 1 - F(largest) ** K``.

Two profiles find the maximum:

* ``PAPER`` is the reference's rule: 30 uniform starts a class, plain gradient ascent of rate 0.01 on the
  unbounded image with the box applied in the forward pass, at most 300 steps, a class stops when the
  relative change of its summed margin falls under 1e-5. It differs in this: the classes run side by side in
  one batch (a network in evaluation mode treats rows independently, so only rounding changes), and starts
  come from a seeded generator.
* ``FAST`` reaches larger margins many times cheaper: 8 starts a class, at most 60 Adam steps of rate 0.05,
  projected onto the box after each; a class stops when its best start gains less than 1 % in ten steps. Its
  p-value has an interval: the starts of every class drawn again, two hundred times.

Models of more than ``MOST_CLASSES`` classes are screened by the fast profile: two starts and ten steps for
every class, then a whole search for the ``KEPT`` classes of largest margin and for ``KEPT`` others drawn at
random, which stand for the rest in the law. A target that is not among the first by then is missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from registry_gate.backdoor.margin import Logits, Steps, groups, unheard
from registry_gate.backdoor.margin_search import ascend, climb
from registry_gate.backdoor.outlier_law import bootstrap_p_values, outlier_p_values

FEWEST_CLASSES = 5
MOST_CLASSES = 128
KEPT = 32
_MOST_ROWS = 512
_DRAWS = 200


@dataclass(frozen=True)
class Profile:
    """How the maximum margin is searched; ``tolerance`` belongs to the stop rule of the search."""

    name: str
    starts: int
    steps: int
    rate: float
    tolerance: float
    projected: bool


PAPER = Profile("paper", starts=30, steps=300, rate=1e-2, tolerance=1e-5, projected=False)
FAST = Profile("fast", starts=8, steps=60, rate=5e-2, tolerance=1e-2, projected=True)
_SCREEN = replace(FAST, name="screen", starts=2, steps=10)


@dataclass(frozen=True, eq=False)
class MaximumMargins:
    """The statistics of the classes searched and what the null law makes of the largest.

    ``searched`` are the classes that ``per_class`` belongs to: all K, or those that screening left.
    ``p_value_located_at_zero`` is the same test with the gamma law's location fixed at 0: where they differ
    much, the fit on few points decides, not the model. ``p_interval`` holds the 5 % and 95 % quantiles of the
    latter over the bootstrap, ``images`` (K, C, H, W) the best image of each class searched, on the CPU.
    """

    per_class: tuple[float, ...]
    searched: tuple[int, ...]
    target: int
    p_value: float
    p_value_located_at_zero: float
    p_interval: tuple[float, float]
    steps: int
    images: torch.Tensor

    @property
    def largest(self) -> float:
        """The statistic of the suspected target class, in logits."""
        return max(self.per_class)


def maximum_margins(
    logits: Logits,
    shape: tuple[int, int, int],
    classes: int,
    *,
    generator: torch.Generator,
    device: torch.device,
    profile: Profile = PAPER,
    report: Steps = unheard,
) -> MaximumMargins:
    """Probe every class and test the largest margin against the others.

    With fewer than ``FEWEST_CLASSES`` no null law can be fitted: the p-values are 1, and only a reference law
    (:func:`registry_gate.backdoor.outlier_law.reference_p_value`) can say something about the statistic.

    Args:
        logits: the model, its weights frozen.
        shape: channels, height, width of an image.
        classes: K, at least 2.
        generator: a CPU generator; the starts are the same on every device.
        device: where the images live.
        profile: how to search.
        report: told of steps done.

    Raises:
        ValueError: fewer than two classes have no margin.
    """
    if classes < 2:
        raise ValueError(f"a margin needs two classes, not {classes}")
    chosen: Sequence[int] = range(classes)
    if classes > MOST_CLASSES and profile.projected:
        screened = _search(logits, shape, chosen, _SCREEN, generator, device, unheard)[0].amax(dim=1)
        chosen = _screened(screened, generator)
    reached, images, steps = _search(logits, shape, chosen, profile, generator, device, report)
    per_class = reached.amax(dim=1)
    best = images[torch.arange(len(chosen)), reached.argmax(dim=1)]
    free, at_zero, interval = 1.0, 1.0, (1.0, 1.0)
    if classes >= FEWEST_CLASSES:
        free, at_zero = outlier_p_values(per_class.tolist())
        again = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
        drawn = bootstrap_p_values(reached.double().numpy(), _DRAWS, again)
        interval = (float(np.quantile(drawn, 0.05)), float(np.quantile(drawn, 0.95)))
    target = chosen[int(per_class.argmax())]
    return MaximumMargins(
        tuple(per_class.tolist()), tuple(chosen), target, free, at_zero, interval, steps, best
    )


def _search(
    logits: Logits,
    shape: tuple[int, int, int],
    chosen: Sequence[int],
    profile: Profile,
    generator: torch.Generator,
    device: torch.device,
    report: Steps,
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Margins (K, starts) and images (K, starts, C, H, W) on the CPU, and the most steps any group took."""
    found, images, taken = [], [], 0
    parts = groups(len(chosen), profile.starts, _MOST_ROWS)
    for number, part in enumerate(parts):
        starts = torch.cat([torch.rand(profile.starts, *shape, generator=generator) for _ in part])
        rows = torch.tensor([chosen[place] for place in part]).repeat_interleave(profile.starts)

        def step_done(done: int, total: int, number: int = number) -> None:
            report(number * total + done, len(parts) * total)

        reached, best, steps = (climb if profile.projected else ascend)(
            logits,
            starts.to(device),
            rows.to(device),
            rate=profile.rate,
            steps=profile.steps,
            tolerance=profile.tolerance,
            report=step_done,
        )
        found.append(reached.cpu().view(len(part), profile.starts))
        images.append(best.cpu().view(len(part), profile.starts, *shape))
        taken = max(taken, steps)
    return torch.cat(found), torch.cat(images), taken


def _screened(statistics: torch.Tensor, generator: torch.Generator) -> list[int]:
    """The classes of largest margin, and as many others drawn at random, in order."""
    order = statistics.argsort(descending=True)
    rest = order[KEPT:]
    drawn = rest[torch.randperm(len(rest), generator=generator)[:KEPT]]
    return sorted([*order[:KEPT].tolist(), *drawn.tolist()])
