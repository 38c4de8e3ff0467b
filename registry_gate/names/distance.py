"""Edit distance, behind one function, and what kind of slip a single edit is."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from importlib import import_module

from registry_gate.errors import ToolError
from registry_gate.names.words import KEY_NEIGHBOURS


class Slip(StrEnum):
    """A single edit, by what a finger or a forger does (after TypoGard, arXiv 2003.03471)."""

    SWAP = "swap"
    REPEAT = "repeat"
    OMISSION = "omission"
    NEIGHBOUR = "neighbour"
    INSERTION = "insertion"
    SUBSTITUTION = "substitution"

    @property
    def typical(self) -> bool:
        """True for slips of the finger; False for an arbitrary letter put in or exchanged."""
        return self not in (Slip.INSERTION, Slip.SUBSTITUTION)


def edit_distance(left: str, right: str, limit: int) -> int:
    """Count the single-character edits between two texts; one swap of neighbouring characters counts as one.

    The Levenshtein distance comes from the package ``Levenshtein`` (GPL-2.0-or-later) or, where a team must
    leave that out, from ``rapidfuzz`` (MIT), which gives the same number. A swap is one edit when it is the
    only difference (optimal string alignment, as far as distances up to one go).

    Args:
        left: one text.
        right: the other.
        limit: distances above it need not be told apart; the result is then some number above it.

    Raises:
        ToolError: ``no-edit-distance`` when neither package is installed.
    """
    distance = _levenshtein()(left, right, score_cutoff=limit + 1)
    if distance == 2 and len(left) == len(right) and slip(left, right) is Slip.SWAP:
        return 1
    return distance


@lru_cache(maxsize=1)
def _levenshtein() -> Callable[..., int]:
    for module in ("Levenshtein", "rapidfuzz.distance.Levenshtein"):
        try:
            distance: Callable[..., int] = import_module(module).distance
        except ImportError:
            continue
        return distance
    raise ToolError(
        "no-edit-distance",
        "neither of the packages Levenshtein and rapidfuzz is installed",
        why="without an edit distance, look-alike names cannot be told from honest ones",
        todo="pip install 'registry-gate[gate]', or pip install rapidfuzz",
    )


def slip(typed: str, meant: str) -> Slip | None:
    """Classify the one edit that turns ``meant`` into ``typed``; None when it takes none or more than one."""
    head = _common(typed, meant)
    tail = _common(typed[head:][::-1], meant[head:][::-1])
    new, old = typed[head : len(typed) - tail], meant[head : len(meant) - tail]
    if len(new) == 2 and new == old[::-1]:
        return Slip.SWAP
    if len(new) == 1 and not old:
        beside = typed[head - 1 : head] + typed[head + 1 : head + 2]
        return Slip.REPEAT if new in beside else Slip.INSERTION
    if len(old) == 1 and not new:
        return Slip.OMISSION
    if len(new) == len(old) == 1:
        return Slip.NEIGHBOUR if new in KEY_NEIGHBOURS.get(old, "") else Slip.SUBSTITUTION
    return None


def _common(left: str, right: str) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count
