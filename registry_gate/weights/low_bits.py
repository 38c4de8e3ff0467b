"""Do the lowest bits of the weights look like a file that was hidden there?

The lowest mantissa byte of a trained float is close to uniform: what rounding leaves. Text, code and pickles
are not. The statistic is the index of coincidence of the lowest byte, the chance that two elements agree in
it, times the number of values it takes: 1 for uniform bytes, about 17 for English text, more for programs.
Elements whose byte is zero are left out (upcast, pruned and unit weights have nothing there), and so are
trailing bits that are zero everywhere (weights upcast from a narrower kind).

For 32 and 64-bit kinds it is taken in blocks of 65,536 elements and the largest is kept, so that a payload
of some 20 kB shows in a tensor of any size. 16-bit kinds are judged as a whole. A payload that is encrypted
or compressed is uniform too: this cannot see it, and nothing that looks at one model alone can.

False alarms at a limit of 1.5, on the 103 tensors of all-MiniLM-L6-v2 (about 40 have enough elements): none
in float32, float16 or bfloat16, the largest value being 1.07. The same weights rounded to eight bits and
scaled back to float32 pass it in 6 of 40 matrices with a scale a row, and in 38 of 40 with one scale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from registry_gate.weights.kernels import kernels

MIN_COUNT = 4096
_BITS = {"F32": "<u4", "F64": "<u8"}
# Mantissa bits that are all of one octave: the lowest of them are the most even.
_NARROW_BITS = {"F16": 8, "BF16": 6}
_STRAY = 0.001


class LowBits:
    """The largest coincidence among the blocks of one tensor; nothing for kinds without a mantissa."""

    def __init__(self, dtype: str) -> None:
        self._bits = _BITS.get(dtype)
        self._largest: float | None = None

    def add(self, data: memoryview) -> None:
        """Take in one block of whole elements."""
        if self._bits is None or len(data) < MIN_COUNT * np.dtype(self._bits).itemsize:
            return
        patterns = np.frombuffer(data, dtype=self._bits)
        counts = np.zeros(256, dtype=np.int64)
        compiled = kernels()
        if compiled:
            compiled.low(patterns, counts)
        else:
            counts += np.bincount((patterns & patterns.dtype.type(255)).astype(np.uint8), minlength=256)
        self.take(counts)

    def take(self, counts: NDArray[np.int64]) -> None:
        """Take in how often each lowest byte was seen in one block."""
        found = coincidence(counts)
        if found is not None:
            self._largest = max(found, self._largest or 0.0)

    def result(self) -> float | None:
        """The statistic; None where too little was there to judge."""
        return self._largest


def low_byte_counts(dtype: str, patterns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts of the lowest bits from counts of all 16-bit patterns; none for other kinds."""
    bits = _NARROW_BITS.get(dtype)
    if bits is None:
        return np.zeros(256, dtype=np.int64)
    counts = patterns.copy()
    exponent = (np.arange(len(counts)) & 0x7FFF) >> (10 if dtype == "F16" else 7)
    counts[exponent == 0] = 0  # zeros and subnormal numbers have no full mantissa
    lowest: NDArray[np.int64] = counts.reshape(-1, 1 << bits).sum(axis=0)
    return lowest


def coincidence(counts: NDArray[np.int64]) -> float | None:
    """The index of coincidence times the number of values; None for fewer than ``MIN_COUNT`` elements."""
    kept = counts.copy()
    kept[0] = 0
    total = int(kept.sum())
    if total < MIN_COUNT:
        return None
    step = 1
    while step * 2 < len(kept) and total - kept[:: step * 2].sum() <= _STRAY * total:
        step *= 2
    kept = kept[::step]
    return float(np.square(kept / kept.sum()).sum()) * (len(kept) - 1)
