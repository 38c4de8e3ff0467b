"""Statistics of a tensor that passes by in pieces, in bounded memory, for every kind that the gate stages.

8 and 16-bit kinds are counted by bit pattern, so their statistics are exact whatever the order and size of
the pieces. Wider kinds keep counts, extremes and the first two moments, merged piece by piece after Chan,
Golub and LeVeque (1983), which stays accurate where a plain sum of squares would cancel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registry_gate.layout import ITEMSIZE
from registry_gate.weights.number_kinds import NARROW, values

# Elements a step: temporaries stay in the cache, and a histogram's own 65,536 counts are added up rarely.
_WIDE_BLOCK, _NARROW_BLOCK = 1 << 16, 1 << 18
_WIDE = {
    "F32": "<f4",
    "F64": "<f8",
    "I32": "<i4",
    "U32": "<u4",
    "I64": "<i8",
    "U64": "<u8",
    "C64": "<c8",
}


@dataclass(frozen=True)
class Statistics:
    """Counts over all elements; extremes, mean and population standard deviation over the finite ones.

    The four are None where no element is finite; mean and std also where float64 cannot hold them. Complex
    kinds are described by their magnitude.
    """

    elements: int
    nan: int
    inf: int
    zeros: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    std: float | None


class TensorMeter:
    """Measures one tensor: :meth:`update` with its bytes in order, cut anywhere, then :meth:`result`."""

    def __init__(self, dtype: str) -> None:
        self._itemsize = ITEMSIZE[dtype]
        self._tally = _Histogram(dtype) if dtype in NARROW else _Moments(_WIDE[dtype])
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
            self._tally.add(memoryview(self._rest))
            self._rest = b""
        whole = len(data) - len(data) % self._itemsize
        for start in range(0, whole, self._step):
            self._tally.add(data[start : min(start + self._step, whole)])
        self._rest = bytes(data[whole:])

    def result(self) -> Statistics:
        """The statistics of all whole elements seen. Raises ValueError when bytes are left over."""
        if self._rest:
            raise ValueError(f"{len(self._rest)} bytes are not a whole element")
        return self._tally.result()


class _Histogram:
    """Exact counts of bit patterns."""

    def __init__(self, dtype: str) -> None:
        self._values = values(dtype)
        self._kind = np.dtype("u1" if len(self._values) == 256 else "<u2")
        self._counts = np.zeros(len(self._values), dtype=np.int64)

    def add(self, data: memoryview) -> None:
        patterns = np.frombuffer(data, dtype=self._kind)
        self._counts += np.bincount(patterns, minlength=len(self._counts))

    def result(self) -> Statistics:
        seen = self._counts > 0
        counts, found = self._counts[seen], self._values[seen]
        finite = np.isfinite(found)
        moments = _weighted(found[finite], counts[finite])
        return Statistics(
            elements=int(counts.sum()),
            nan=int(counts[np.isnan(found)].sum()),
            inf=int(counts[np.isinf(found)].sum()),
            zeros=int(counts[found == 0].sum()),
            minimum=float(found[finite].min()) if finite.any() else None,
            maximum=float(found[finite].max()) if finite.any() else None,
            mean=moments[0],
            std=moments[1],
        )


def _weighted(found: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[float | None, float | None]:
    if not len(found):
        return None, None
    total = float(counts.sum())
    mean = float(found @ counts) / total
    return mean, math.sqrt(float(((found - mean) ** 2) @ counts) / total)


class _Moments:
    """Counts, extremes and moments of a kind too wide for a histogram."""

    def __init__(self, kind: str) -> None:
        self._kind = np.dtype(kind)
        self._elements = self._nan = self._inf = self._zeros = self._finite = 0
        self._low, self._high = math.inf, -math.inf
        self._mean = self._squares = 0.0

    def add(self, data: memoryview) -> None:
        block = np.frombuffer(data, dtype=self._kind)
        self._elements += block.size
        with np.errstate(all="ignore"):  # NaN and overflow are what is being counted here
            self._zeros += block.size - int(np.count_nonzero(block != 0))
            wide = (np.abs(block.astype(np.complex128)) if block.dtype.kind == "c" else block).astype(
                np.float64
            )
            low, high = float(wide.min()), float(wide.max())
            if not (math.isfinite(low) and math.isfinite(high)):
                wide = self._only_finite(wide)
                if not wide.size:
                    return
                low, high = float(wide.min()), float(wide.max())
            self._low, self._high = min(self._low, low), max(self._high, high)
            self._merge(wide)

    def _only_finite(self, wide: NDArray[np.float64]) -> NDArray[np.float64]:
        """Count NaN and infinities and leave them out."""
        self._nan += int(np.count_nonzero(np.isnan(wide)))
        self._inf += int(np.count_nonzero(np.isinf(wide)))
        return wide[np.isfinite(wide)]

    def _merge(self, wide: NDArray[np.float64]) -> None:
        count = self._finite + wide.size
        mean = float(wide.mean())
        wide -= mean
        shift = mean - self._mean
        # einsum, because a BLAS product would start threads of its own and spin
        squares = float(np.einsum("i,i->", wide, wide))
        self._squares += squares + shift * shift * self._finite * wide.size / count
        self._mean += shift * wide.size / count
        self._finite = count

    def result(self) -> Statistics:
        known = self._finite > 0
        deviation = math.sqrt(self._squares / self._finite) if known and self._squares >= 0 else math.nan
        return Statistics(
            elements=self._elements,
            nan=self._nan,
            inf=self._inf,
            zeros=self._zeros,
            minimum=self._low if known else None,
            maximum=self._high if known else None,
            mean=self._mean if known and math.isfinite(self._mean) else None,
            std=deviation if math.isfinite(deviation) else None,
        )
