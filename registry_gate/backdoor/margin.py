"""What the tests share: the logits function they are given, and the margin of a class."""

from __future__ import annotations

from collections.abc import Callable

import torch

Logits = Callable[[torch.Tensor], torch.Tensor]
"""From images (N, channels, height, width) in [0, 1] to logits (N, classes); differentiable, row by row."""

Steps = Callable[[int, int], None]
"""``steps(done, total)``: optimisation steps, for progress."""


def unheard(done: int, total: int) -> None:
    """Report nothing."""


def margins(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Logit of a class minus the largest other logit.

    Args:
        logits: (N, K), K of two or more.
        classes: (N,) the class each row is judged for.

    Returns:
        (N,): positive where the row is taken for its class.
    """
    own = logits.gather(1, classes.unsqueeze(1)).squeeze(1)
    others = logits.scatter(1, classes.unsqueeze(1), float("-inf"))
    return own - others.amax(dim=1)


def groups(classes: int, rows_each: int, most_rows: int) -> list[range]:
    """Consecutive classes whose rows together stay within ``most_rows`` (at least one class a group)."""
    size = max(1, most_rows // max(1, rows_each))
    return [range(start, min(start + size, classes)) for start in range(0, classes, size)]
