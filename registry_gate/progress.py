"""How long work reports its progress: a callable, so that no stage knows about terminals."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""``progress(stage, done, total)``: a short noun, then bytes done and bytes in all (steps where noted)."""


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""
