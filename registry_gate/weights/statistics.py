"""Statistics of a tensor that passes by in pieces, in bounded memory, for every kind that the gate stages.

8 and 16-bit kinds are counted by bit pattern, so their statistics are exact whatever the order and size of
the pieces. Wider kinds keep counts, extremes and the first two moments, merged piece by piece after Chan,
Golub and LeVeque (1983), which stays accurate where a plain sum of squares would cancel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from registry_gate.evidence import RowStatistics
from registry_gate.layout import ITEMSIZE
from registry_gate.weights.kernels import CLASSES, LOWEST, OCTAVES, classes, kernels
from registry_gate.weights.low_bits import LowBits, coincidence, low_byte_counts
from registry_gate.weights.number_kinds import NARROW, values
from registry_gate.weights.rows import RowMeter

# Elements a step: temporaries stay in the cache; exact counts need none where they are compiled.
_WIDE_BLOCK, _NARROW_BLOCK = 1 << 16, 1 << 18
_FLUSH = 1 << 31
_WIDE = {
    "F32": "<f4",
    "F64": "<f8",
    "I32": "<i4",
    "U32": "<u4",
    "I64": "<i8",
    "U64": "<u8",
    "C64": "<c8",
}
Octaves = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Statistics:
    """Counts over all elements; extremes, mean and population standard deviation over the finite ones.

    The four are None where no element is finite; mean and std also where float64 cannot hold them. Complex
    kinds are described by their magnitude. ``histogram`` holds (octave, negative, positive): how many finite
    elements have a magnitude from 2**octave to below 2**(octave + 1). ``sketch`` are three sums in which
    each element's sign depends on its place; empty where float64 cannot hold them. ``low_bits`` is described
    in :mod:`registry_gate.weights.low_bits`, ``rows`` in :mod:`registry_gate.weights.rows`.
    """

    elements: int
    nan: int
    inf: int
    zeros: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    std: float | None
    histogram: Octaves = ()
    sketch: tuple[float, ...] = ()
    low_bits: float | None = None
    rows: RowStatistics | None = None


class TensorMeter:
    """Measures one tensor: :meth:`update` with its bytes in order, cut anywhere, then :meth:`result`.

    Args:
        dtype: safetensors' name.
        rows: elements an output row, for tensors whose rows are to be compared; 0 for others.
    """

    def __init__(self, dtype: str, rows: int = 0) -> None:
        self._itemsize = ITEMSIZE[dtype]
        self._tally = _Histogram(dtype) if dtype in NARROW else _Moments(dtype)
        self._rows = RowMeter(dtype, rows) if rows else None
        self._step = (_NARROW_BLOCK if dtype in NARROW else _WIDE_BLOCK) * self._itemsize
        self._rest = b""

    def update(self, data: memoryview) -> None:
        """Take in the next bytes, C-contiguous; an element cut in two waits for its other half."""
        if self._rest:
            missing = min(self._itemsize - len(self._rest), len(data))
            self._rest += bytes(data[:missing])
            data = data[missing:]
            if len(self._rest) < self._itemsize:
                return
            self._add(memoryview(self._rest))
            self._rest = b""
        whole = len(data) - len(data) % self._itemsize
        for start in range(0, whole, self._step):
            self._add(data[start : min(start + self._step, whole)])
        self._rest = bytes(data[whole:])

    def result(self) -> Statistics:
        """The statistics of all whole elements seen. Raises ValueError when bytes are left over."""
        if self._rest:
            raise ValueError(f"{len(self._rest)} bytes are not a whole element")
        return self._tally.result(self._rows.result() if self._rows else None)

    def _add(self, data: memoryview) -> None:
        self._tally.add(data)
        if self._rows:
            self._rows.add(data)


class _Histogram:
    """Exact counts of bit patterns, by position class."""

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._values = values(dtype)
        self._kind = np.dtype("u1" if len(self._values) == 256 else "<u2")
        self._counts = np.zeros((len(self._values), CLASSES), dtype=np.uint32)
        self._flushed: NDArray[np.int64] | None = None
        self._elements = self._since = 0

    def add(self, data: memoryview) -> None:
        patterns = np.frombuffer(data, dtype=self._kind)
        compiled = kernels()
        if compiled:
            compiled.count(patterns, self._counts.reshape(-1), self._elements)
        else:
            size = len(self._values)
            place = patterns.astype(np.uint64) * np.uint64(CLASSES) + classes(self._elements, patterns.size)
            self._counts += (
                np.bincount(place.view(np.int64), minlength=CLASSES * size)
                .reshape(size, CLASSES)
                .astype(np.uint32)
            )
        self._elements += patterns.size
        self._since += patterns.size
        if self._since >= _FLUSH:
            self._flushed, self._since = self._all(), 0
            self._counts[:] = 0

    def _all(self) -> NDArray[np.int64]:
        counts = np.ascontiguousarray(self._counts.T, dtype=np.int64)
        return counts if self._flushed is None else counts + self._flushed

    def result(self, rows: RowStatistics | None) -> Statistics:
        by_class = self._all()
        total = by_class.sum(axis=0)
        seen = np.flatnonzero(total)
        counts, found = total[seen], self._values[seen]
        finite = np.isfinite(found)
        usual, often = found[finite], counts[finite].astype(np.float64)
        mean, std = _weighted(usual, often)
        sums = np.einsum("ij,j->i", by_class[:, seen[finite]].astype(np.float64), usual)
        return Statistics(
            elements=self._elements,
            nan=int(counts[np.isnan(found)].sum()),
            inf=int(counts[np.isinf(found)].sum()),
            zeros=int(counts[found == 0].sum()),
            minimum=float(usual.min()) if usual.size else None,
            maximum=float(usual.max()) if usual.size else None,
            mean=mean,
            std=std,
            histogram=_octaves(_binned(self._dtype, seen[finite], often)),
            sketch=_sketch(sums),
            low_bits=coincidence(low_byte_counts(self._dtype, total)),
            rows=rows,
        )


def _weighted(found: NDArray[np.float64], counts: NDArray[np.float64]) -> tuple[float | None, float | None]:
    if not len(found):
        return None, None
    total = float(counts.sum())
    # einsum, because a BLAS product would start threads of its own and spin
    mean = float(np.einsum("i,i->", found, counts)) / total
    return mean, math.sqrt(float(np.einsum("i,i->", (found - mean) ** 2, counts)) / total)


@cache
def _bin_of(dtype: str) -> NDArray[np.int64]:
    """The bin of every bit pattern: negative octaves, positive octaves, and one for zero and non-finite."""
    found = values(dtype)
    usable = np.isfinite(found) & (found != 0)
    with np.errstate(all="ignore"):
        octave = np.frexp(np.where(usable, found, 1.0))[1].astype(np.int64) - 1
    place = np.clip(octave - LOWEST, 0, OCTAVES - 1) + np.where(found > 0, OCTAVES, 0)
    return np.where(usable, place, 2 * OCTAVES)


def _binned(dtype: str, patterns: NDArray[np.int64], counts: NDArray[np.float64]) -> NDArray[np.int64]:
    bins = np.bincount(_bin_of(dtype)[patterns], weights=counts, minlength=2 * OCTAVES + 1)
    return bins[:-1].astype(np.int64).reshape(2, OCTAVES)


def _octaves(bins: NDArray[np.int64]) -> Octaves:
    used = np.flatnonzero(bins.sum(axis=0))
    return tuple((int(place) + LOWEST, int(bins[0, place]), int(bins[1, place])) for place in used)


def _sketch(sums: NDArray[np.float64]) -> tuple[float, ...]:
    """Three differences of the sums of the position classes, each class half of the time on either side."""
    with np.errstate(all="ignore"):
        a, b, c, d = (float(value) for value in sums)
        found = (a + b - c - d, a - b + c - d, a - b - c + d)
    return found if all(map(math.isfinite, found)) else ()


class _Moments:
    """Counts, extremes and moments of a kind too wide for a histogram."""

    def __init__(self, dtype: str) -> None:
        self._kind = np.dtype(_WIDE[dtype])
        self._elements = self._finite = 0
        self._counts = np.zeros(3, dtype=np.int64)
        self._bins = np.zeros((2, OCTAVES), dtype=np.int64)
        self._sums = np.zeros(CLASSES)
        self._low, self._high = math.inf, -math.inf
        self._mean = self._squares = 0.0
        self._low_bits = LowBits(dtype)

    def add(self, data: memoryview) -> None:
        block = np.frombuffer(data, dtype=self._kind)
        self._low_bits.add(data)
        with np.errstate(all="ignore"):  # NaN and overflow are what is being counted here
            found = np.abs(block.astype(np.complex128)) if block.dtype.kind == "c" else block
            pivot = self._mean if self._finite and math.isfinite(self._mean) else _first_finite(found)
            before = self._counts.copy()
            reals = np.array([self._low, self._high, 0.0, *(0.0,) * CLASSES])
            compiled = kernels()
            moments = compiled.moments if compiled else plain_moments
            moments(found, self._elements, pivot, self._counts, reals, self._bins)
            self._elements += block.size
            count = block.size - int((self._counts - before)[:2].sum())
            if count:
                self._merge(count, pivot, reals)

    def _merge(self, count: int, pivot: float, reals: NDArray[np.float64]) -> None:
        self._low, self._high = float(reals[0]), float(reals[1])
        self._sums += reals[3:]
        shift = float(reals[3:].sum()) / count - pivot
        squares = float(reals[2]) - shift * shift * count
        shift += pivot - self._mean
        total = self._finite + count
        self._squares += max(squares, 0.0) if math.isfinite(squares) else squares
        self._squares += shift * shift * self._finite * count / total
        self._mean += shift * count / total
        self._finite = total

    def result(self, rows: RowStatistics | None) -> Statistics:
        known = self._finite > 0
        deviation = math.sqrt(self._squares / self._finite) if known and self._squares >= 0 else math.nan
        return Statistics(
            elements=self._elements,
            nan=int(self._counts[0]),
            inf=int(self._counts[1]),
            zeros=int(self._counts[2]),
            minimum=self._low if known else None,
            maximum=self._high if known else None,
            mean=self._mean if known and math.isfinite(self._mean) else None,
            std=deviation if math.isfinite(deviation) else None,
            histogram=_octaves(self._bins),
            sketch=_sketch(self._sums),
            low_bits=self._low_bits.result(),
            rows=rows,
        )


def _first_finite(found: NDArray[np.float64]) -> float:
    finite = found[np.isfinite(found)][:1]
    return float(finite[0]) if finite.size else 0.0


def plain_moments(
    found: NDArray[np.float64],
    start: int,
    pivot: float,
    counts: NDArray[np.int64],
    reals: NDArray[np.float64],
    bins: NDArray[np.int64],
) -> None:
    """The same as the compiled ``moments`` (:class:`registry_gate.weights.kernels.Kernels`), with numpy."""
    wide = found.astype(np.float64)
    finite = np.isfinite(wide)
    place = classes(start, found.size)[finite]
    nan = int(np.count_nonzero(np.isnan(wide)))
    kept = wide[finite]
    counts += nan, wide.size - kept.size - nan, kept.size - int(np.count_nonzero(kept))
    if not kept.size:
        return
    reals[0], reals[1] = min(reals[0], kept.min()), max(reals[1], kept.max())
    reals[2] += np.einsum("i,i->", kept - pivot, kept - pivot)
    reals[3:] += np.bincount(place.view(np.int64), weights=kept, minlength=CLASSES)
    nonzero = kept[kept != 0]
    octave = np.clip(np.frexp(nonzero)[1] - 1 - LOWEST, 0, OCTAVES - 1)
    where = octave + np.where(nonzero > 0, OCTAVES, 0)
    bins += np.bincount(where, minlength=2 * OCTAVES).reshape(2, OCTAVES)
