"""STRIP: does an input stay with its class whatever is laid over it? Low entropy means a trigger carries it.

Source: Gao, Xu, Wang, Chen, Ranasinghe, Nepal, "STRIP: A Defence Against Trojan Attacks on Deep Neural
Networks" (ACSAC 2019): the entropy (base 2) of the softmax, averaged over N copies of the input with random
clean images added; the boundary is the preset false rejection rate's quantile of a normal law fitted to clean
inputs' entropies. STRIP judges inputs, not models, and sees only triggers that survive the overlay.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from registry_gate.backdoor.margin import Logits, Steps, unheard

OVERLAYS = 100
_MOST_ROWS = 1000


@dataclass(frozen=True)
class Boundary:
    """Normal fit of clean entropies (bits) and the entropy under which an input counts as trojaned."""

    mean: float
    std: float
    threshold: float
    inputs: int


@dataclass(frozen=True)
class Overlaid:
    """What overlays do to inputs: mean entropy (bits) of each; the share of copies of ``target`` class."""

    entropies: tuple[float, ...]
    kept_share: float | None


def overlaid(
    logits: Logits,
    inputs: torch.Tensor,
    overlays: torch.Tensor,
    *,
    generator: torch.Generator,
    count: int = OVERLAYS,
    target: int | None = None,
    report: Steps = unheard,
) -> Overlaid:
    """Entropy of each input averaged over ``count`` overlays.

    Args:
        logits: the model.
        inputs: (N, channels, height, width) in [0, 1].
        overlays: (M, channels, height, width) clean images to draw from, on the same device.
        generator: a CPU generator that draws the overlays of each input.
        count: overlays an input; as many as there are, drawn with replacement, if there are fewer.
        target: class whose share among the copies' answers is asked for.
        report: told of inputs done.
    """
    at_once = max(1, _MOST_ROWS // count)
    entropies: list[float] = []
    kept = 0
    for start in range(0, len(inputs), at_once):
        part = inputs[start : start + at_once]
        drawn = torch.randint(len(overlays), (len(part), count), generator=generator).to(overlays.device)
        copies = (part.unsqueeze(1) + overlays[drawn]).clamp(0, 1)
        with torch.no_grad():
            answers = logits(copies.flatten(0, 1))
        entropies += entropy_bits(answers).view(len(part), count).mean(dim=1).tolist()
        kept += int((answers.argmax(dim=1) == target).sum()) if target is not None else 0
        report(start + len(part), len(inputs))
    share = kept / (len(inputs) * count) if target is not None and len(inputs) else None
    return Overlaid(tuple(entropies), share)


def entropy_bits(logits: torch.Tensor) -> torch.Tensor:
    """Shannon entropy (N,) in bits of the softmax of logits (N, K)."""
    log_p = logits.double().log_softmax(dim=1)
    nats = -(log_p.exp() * log_p).sum(dim=1)
    return nats / torch.log(torch.tensor(2.0, dtype=torch.float64))


def fit_boundary(entropies: tuple[float, ...], false_rejection_rate: float) -> Boundary:
    """The entropy that a share ``false_rejection_rate`` of clean inputs falls under, by a normal fit.

    Raises:
        ValueError: fewer than two entropies.
    """
    from scipy import stats

    if len(entropies) < 2:
        raise ValueError("a normal fit needs at least two entropies")
    values = torch.tensor(entropies, dtype=torch.float64)
    mean, std = float(values.mean()), float(values.std())
    threshold = float(mean + stats.norm.ppf(false_rejection_rate) * std)
    return Boundary(mean, std, threshold, len(entropies))


def flagged_share(entropies: tuple[float, ...], boundary: Boundary) -> float:
    """Share of inputs whose entropy lies under the boundary."""
    return sum(value < boundary.threshold for value in entropies) / max(1, len(entropies))
