"""Statistics of a tensor that passes by in pieces, in bounded memory, for every kind that the gate stages.

8 and 16-bit kinds are counted by bit pattern, so their statistics are exact whatever the order and size of
the pieces. Wider kinds keep counts, extremes and the first two moments, merged piece by piece after Chan,
Golub and LeVeque (1983), which stays accurate where a plain sum of squares would cancel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
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
WIDE_BLOCK, NARROW_BLOCK = 1 << 16, 1 << 18
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


class WholeElements:
    """Cuts bytes that arrive in any pieces into blocks of whole elements.

    Args:
        itemsize: bytes an element.
        block: elements a block, at most.
    """

    def __init__(self, itemsize: int, block: int) -> None:
        self._itemsize, self._step = itemsize, block * itemsize
        self._rest = b""

    def cut(self, data: memoryview) -> Iterator[memoryview]:
        """Blocks of the next bytes, C-contiguous; an element cut in two waits for its other half."""
        if self._rest:
            missing = min(self._itemsize - len(self._rest), len(data))
            self._rest += bytes(data[:missing])
            data = data[missing:]
            if len(self._rest) < self._itemsize:
                return
            yield memoryview(self._rest)
            self._rest = b""
        whole = len(data) - len(data) % self._itemsize
        for start in range(0, whole, self._step):
            yield data[start : min(start + self._step, whole)]
        self._rest = bytes(data[whole:])

    def end(self) -> None:
        """Raises ValueError when bytes are left over."""
        if self._rest:
            raise ValueError(f"{len(self._rest)} bytes are not a whole element")


class TensorMeter:
    """Measures one tensor: :meth:`update` with its bytes in order, cut anywhere, then :meth:`result`.

    Args:
        dtype: safetensors' name.
        rows: elements an output row, for tensors whose rows are to be compared; 0 for others.
        nbytes: of the whole tensor; of no matter here.
    """

    def __init__(self, dtype: str, rows: int = 0, nbytes: int = 0) -> None:
        del nbytes
        self._tally = _Histogram(dtype) if dtype in NARROW else _Moments(dtype)
        self._rows = RowMeter(dtype, rows) if rows else None
        self._whole = WholeElements(ITEMSIZE[dtype], NARROW_BLOCK if dtype in NARROW else WIDE_BLOCK)

    def update(self, data: memoryview) -> None:
        """Take in the next bytes, C-contiguous."""
        for block in self._whole.cut(data):
            self._tally.add(block)
            if self._rows:
                self._rows.add(block)

    def result(self) -> Statistics:
        """The statistics of all whole elements seen. Raises ValueError when bytes are left over."""
        self._whole.end()
        return self._tally.result(self._rows.result() if self._rows else None)


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
        return from_counts(self._dtype, self._all(), rows)


def from_counts(dtype: str, by_class: NDArray[np.int64], rows: RowStatistics | None) -> Statistics:
    """The statistics of an 8 or 16-bit kind, exact.

    Args:
        dtype: safetensors' name.
        by_class: how often each bit pattern was seen, (CLASSES, patterns).
        rows: handed on.
    """
    total = by_class.sum(axis=0)
    seen = np.flatnonzero(total)
    counts, found = total[seen], values(dtype)[seen]
    finite = np.isfinite(found)
    usual, often = found[finite], counts[finite].astype(np.float64)
    mean, std = _weighted(usual, often)
    sums = np.einsum("ij,j->i", by_class[:, seen[finite]].astype(np.float64), usual)
    return Statistics(
        elements=int(total.sum()),
        nan=int(counts[np.isnan(found)].sum()),
        inf=int(counts[np.isinf(found)].sum()),
        zeros=int(counts[found == 0].sum()),
        minimum=float(usual.min()) if usual.size else None,
        maximum=float(usual.max()) if usual.size else None,
        mean=mean,
        std=std,
        histogram=_octaves(_binned(dtype, seen[finite], often)),
        sketch=_sketch(sums),
        low_bits=coincidence(low_byte_counts(dtype, total)),
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
        self._moments = Moments()
        self._low_bits = LowBits(dtype)

    def add(self, data: memoryview) -> None:
        block = np.frombuffer(data, dtype=self._kind)
        self._low_bits.add(data)
        with np.errstate(all="ignore"):  # NaN and overflow are what is being counted here
            found = np.abs(block.astype(np.complex128)) if block.dtype.kind == "c" else block
            so_far = self._moments
            pivot = so_far.mean if so_far.finite and math.isfinite(so_far.mean) else _first_finite(found)
            counts = np.zeros(3, dtype=np.int64)
            reals = np.array([so_far.low, so_far.high, 0.0, *(0.0,) * CLASSES])
            compiled = kernels()
            moments = compiled.moments if compiled else plain_moments
            moments(found, so_far.elements, pivot, counts, reals, so_far.bins)
            so_far.take(block.size, pivot, counts, reals)

    def result(self, rows: RowStatistics | None) -> Statistics:
        return self._moments.result(self._low_bits.result(), rows)


class Moments:
    """Counts, extremes and moments of blocks, merged; ``bins`` are added to from outside."""

    def __init__(self) -> None:
        self.elements = self.finite = 0
        self.bins = np.zeros((2, OCTAVES), dtype=np.int64)
        self.low, self.high = math.inf, -math.inf
        self.mean = 0.0
        self._counts = np.zeros(3, dtype=np.int64)
        self._sums = np.zeros(CLASSES)
        self._squares = 0.0

    def take(
        self, elements: int, pivot: float, counts: NDArray[np.int64], reals: NDArray[np.float64]
    ) -> None:
        """Merge what was seen of one block.

        Args:
            elements: of the block, NaN and infinities included.
            pivot: what the squares are about.
            counts: NaN, infinities and zeros in the block.
            reals: least and greatest so far, squares about the pivot, sums of the position classes.
        """
        self._counts += counts
        self.elements += elements
        count = elements - int(counts[:2].sum())
        if not count:
            return
        self.low, self.high = float(reals[0]), float(reals[1])
        self._sums += reals[3:]
        shift = float(reals[3:].sum()) / count - pivot
        squares = float(reals[2]) - shift * shift * count
        shift += pivot - self.mean
        total = self.finite + count
        self._squares += max(squares, 0.0) if math.isfinite(squares) else squares
        self._squares += shift * shift * self.finite * count / total
        self.mean += shift * count / total
        self.finite = total

    def result(self, low_bits: float | None, rows: RowStatistics | None) -> Statistics:
        """The statistics of all blocks."""
        known = self.finite > 0
        deviation = math.sqrt(self._squares / self.finite) if known and self._squares >= 0 else math.nan
        return Statistics(
            elements=self.elements,
            nan=int(self._counts[0]),
            inf=int(self._counts[1]),
            zeros=int(self._counts[2]),
            minimum=self.low if known else None,
            maximum=self.high if known else None,
            mean=self.mean if known and math.isfinite(self.mean) else None,
            std=deviation if math.isfinite(deviation) else None,
            histogram=_octaves(self.bins),
            sketch=_sketch(self._sums),
            low_bits=low_bits,
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
