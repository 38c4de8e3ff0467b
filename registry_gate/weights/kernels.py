"""The inner loops of the statistics, compiled where numba is there.

A position class, 0 to 3, is drawn for every element from its index alone. Counts and sums are kept a class,
so one pass gives totals and, from their differences, sketches that change when elements change places.

Compiled code is kept in ``cache/numba`` under the gate's home folder and never beside the sources or in the
working folder: what lies there is loaded as code, so a folder that others can write to is not used at all.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

CLASSES = 4
OCTAVES = 128
LOWEST = -64
"""Bins of magnitudes: from 2**LOWEST, an octave each; smaller and larger ones are in the first and last."""

Array = NDArray[Any]
_Loop: TypeAlias = Callable[[Array, Array, int], None]

_GROUP = 5  # one hash serves 32 elements, two bits each
_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


@dataclass(frozen=True)
class Kernels:
    """The compiled loops.

    ``count(patterns, counts, start)`` adds to CLASSES times as many counts as there are patterns.
    ``moments(values, start, pivot, counts, reals, bins)`` adds to NaN, infinities, zeros; to minimum,
    maximum, squares about the pivot and a sum a class; and to (2, OCTAVES) bins. ``rows_f16(bits, at,
    length, sums, squares)``, and ``rows_wide`` for bfloat16 and float32, adds the finite elements to a sum of
    values and one of squares a row. ``low(bits, counts)`` counts the lowest bytes.
    """

    count: Callable[[Array, Array, int], None]
    moments: Callable[[Array, int, float, Array, Array, Array], None]
    rows_f16: Callable[[Array, int, int, Array, Array], None]
    rows_wide: Callable[[Array, int, int, Array, Array], None]
    low: Callable[[Array, Array], None]


@cache
def kernels() -> Kernels | None:
    """The compiled loops; None where numba is absent, and the statistics then use numpy."""
    try:
        import numba
    except ImportError:
        return None
    folder = _cache_folder()
    if folder is not None:
        numba.config.CACHE_DIR = str(folder)
    compiled = numba.njit(nogil=True, cache=folder is not None)
    # sums in any order, so that the compiler may add several elements at a time
    adding = numba.njit(nogil=True, cache=folder is not None, fastmath={"reassoc", "nsz", "contract"})
    _compile_inner(numba)
    return Kernels(
        _count(compiled(_count_halves), compiled(_count_octets), compiled(_count_few)),
        compiled(_moments),
        adding(_rows_f16),
        adding(_rows_wide),
        compiled(_low),
    )


def classes(start: int, count: int) -> NDArray[np.uint64]:
    """The position classes of ``count`` elements from index ``start`` on."""
    index = np.arange(start, start + count, dtype=np.uint64)
    mixed = ((index >> np.uint64(_GROUP)) + np.uint64(1)) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(32))) * _SECOND
    mixed ^= mixed >> np.uint64(29)
    shift = (index & np.uint64(31)) << np.uint64(1)
    found: NDArray[np.uint64] = (mixed >> shift) & np.uint64(3)
    return found


def _mix(group: np.uint64) -> np.uint64:
    # plus one, else the first group would be all of one class
    mixed = (group + np.uint64(1)) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(32))) * _SECOND
    return mixed ^ (mixed >> np.uint64(29))


def _compile_inner(numba: Any) -> None:
    """Compile what the loops call: they name it, and numba compiles what it finds under the name."""
    globals()["_mixed"] = numba.njit(inline="always")(_mix)


_mixed: Callable[[np.uint64], np.uint64] = _mix


def _count(halves: _Loop, octets: _Loop, few: _Loop) -> Callable[[Array, Array, int], None]:
    """The counting loop over whole groups, with what lies before and behind them counted one by one."""

    def count(patterns: Array, counts: Array, start: int) -> None:
        many, stop = (halves if patterns.itemsize == 2 else octets), patterns.size
        head = min(-start % 32, stop)
        tail = stop - (stop - head) % 32
        few(patterns[:head], counts, start)
        many(patterns[head:tail].view("<u8"), counts, start + head)
        few(patterns[tail:], counts, start + tail)

    return count


def _count_halves(words: Array, counts: Array, start: int) -> None:
    """Whole groups of 16-bit patterns; ``counts`` is flat: pattern, then class, four in a cache line."""
    for group in range(words.size // 8):
        bits = _mixed(np.uint64(start // 32 + group))
        for inside in range(8):  # constant counts, so that the compiler unrolls both loops
            word = words[group * 8 + inside]
            for element in range(4):
                kind = (bits >> np.uint64(2 * (4 * inside + element))) & np.uint64(3)
                pattern = (word >> np.uint64(16 * element)) & np.uint64(0xFFFF)
                counts[(pattern << np.uint64(2)) | kind] += np.uint32(1)


def _count_octets(words: Array, counts: Array, start: int) -> None:
    """The same for 8-bit patterns."""
    for group in range(words.size // 4):
        bits = _mixed(np.uint64(start // 32 + group))
        for inside in range(4):
            word = words[group * 4 + inside]
            for element in range(8):
                kind = (bits >> np.uint64(2 * (8 * inside + element))) & np.uint64(3)
                pattern = (word >> np.uint64(8 * element)) & np.uint64(0xFF)
                counts[(pattern << np.uint64(2)) | kind] += np.uint32(1)


def _count_few(patterns: Array, counts: Array, start: int) -> None:
    """The same, of either width, for elements of one group."""
    bits = _mixed(np.uint64(start // 32))
    for element in range(patterns.size):
        kind = (bits >> np.uint64(2 * (start % 32 + element))) & np.uint64(3)
        counts[(np.uint64(patterns[element]) << np.uint64(2)) | kind] += np.uint32(1)


def _moments(found: Array, start: int, pivot: float, counts: Array, reals: Array, bins: Array) -> None:
    low, high, squares = float(reals[0]), float(reals[1]), float(reals[2])
    index, stop = 0, int(found.size)
    while index < stop:
        place = np.uint64(start + index)
        bits = _mixed(place >> np.uint64(_GROUP))
        inside = place & np.uint64(31)
        bits >>= inside << np.uint64(1)
        end = min(stop, index + 32 - int(inside))
        for element in range(index, end):
            value = np.float64(found[element])
            kind = bits & np.uint64(3)
            bits >>= np.uint64(2)
            raw = value.view(np.int64)
            exponent = int((raw >> 52) & 0x7FF)
            if exponent == 0x7FF:
                counts[0 if math.isnan(value) else 1] += 1
                continue
            low, high = min(low, value), max(high, value)
            away = value - pivot
            squares += away * away
            reals[3 + kind] += value
            if value == 0:
                counts[2] += 1
            else:
                octave = min(max(exponent - 1023 - LOWEST, 0), OCTAVES - 1)
                bins[1 if value > 0 else 0, octave] += 1
        index = end
    reals[0], reals[1], reals[2] = low, high, squares


_HALF_SCALE = np.float32(2.0**112)
"""What a half's bits, moved to where a float's are, are short of: the difference of the exponents' biases."""


def _rows_f16(bits: Array, at: int, length: int, sums: Array, squares: Array) -> None:
    place, stop = 0, int(bits.size)
    while place < stop:
        row = (at + place) // length
        end = min(stop, place + length - (at + place) % length)
        total, square = np.float32(0), np.float32(0)
        part = bits[place:end]  # counted from zero, no index can be negative, and the loop is vectorised
        for index in range(part.size):
            half = np.uint32(part[index])
            wide = ((half & np.uint32(0x8000)) << np.uint32(16)) | (
                (half & np.uint32(0x7FFF)) << np.uint32(13)
            )
            finite = np.float32((half & np.uint32(0x7C00)) != np.uint32(0x7C00))
            value = np.uint32(wide).view(np.float32) * _HALF_SCALE * finite
            total += value
            square += value * value
        sums[row] += total
        squares[row] += square
        place = end


def _rows_wide(bits: Array, at: int, length: int, sums: Array, squares: Array) -> None:
    """Of float32, and of bfloat16, which is its upper half."""
    shift = np.uint32(16 if bits.itemsize == 2 else 0)
    place, stop = 0, int(bits.size)
    while place < stop:
        row = (at + place) // length
        end = min(stop, place + length - (at + place) % length)
        total, square = 0.0, 0.0
        part = bits[place:end]
        for index in range(part.size):
            wide = np.uint32(np.uint32(part[index]) << shift)
            kept = np.uint32((wide & np.uint32(0x7F800000)) != np.uint32(0x7F800000))
            value = np.float64(np.uint32(wide * kept).view(np.float32))
            total += value
            square += value * value
        sums[row] += total
        squares[row] += square
        place = end


def _low(bits: Array, counts: Array) -> None:
    for element in range(bits.size):
        counts[bits[element] & 255] += 1


def _cache_folder() -> Path | None:
    """The gate's own folder for compiled code; None where nobody but this user must be able to write."""
    from registry_gate import settings

    folder = settings.load().home / "cache" / "numba"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat(follow_symlinks=False)
    except OSError:
        return None
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return folder if ours and not found.st_mode & 0o022 else None
