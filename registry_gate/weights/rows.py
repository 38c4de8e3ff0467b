"""The output rows of weights: a planted class, token or neuron shows as a row unlike the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from registry_gate.evidence import RowStatistics
from registry_gate.weights.kernels import Array, kernels
from registry_gate.weights.number_kinds import values

MAX_ROWS = 1 << 18
_SHOWN = 5
_BITS = {"F16": "<u2", "BF16": "<u2", "F32": "<u4"}
_TABLED = ("F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ")
JUDGED = frozenset({*_BITS, *_TABLED, "F64"})
"""The kinds whose rows are looked at."""


def row_length(shape: Sequence[int]) -> int:
    """Elements an output row, 0 where rows mean nothing.

    The first dimension of a matrix, an embedding or a convolution counts its outputs in torch. Vectors have
    no rows, and a table of more than ``MAX_ROWS`` rows is not kept by row: the sums would outgrow it.
    """
    if len(shape) < 2 or not 2 <= shape[0] <= MAX_ROWS or 0 in shape:
        return 0
    return math.prod(shape[1:])


class RowMeter:
    """Sums and squares of each row of one tensor whose elements pass by in order.

    Args:
        dtype: safetensors' name; kinds other than floats are not looked at.
        length: elements a row.
    """

    def __init__(self, dtype: str, length: int) -> None:
        self._dtype, self._length = dtype, length
        self._judged = dtype in JUDGED
        self._seen = 0
        self._sums, self._squares = np.zeros(0), np.zeros(0)

    def add(self, data: memoryview) -> None:
        """Take in whole elements."""
        if not self._judged:
            return
        bits = np.frombuffer(data, dtype=_BITS.get(self._dtype, "u1" if self._dtype in _TABLED else "<f8"))
        rows = -(-(self._seen + bits.size) // self._length)
        if rows > self._sums.size:
            more = max(rows, 2 * self._sums.size) - self._sums.size
            self._sums = np.concatenate([self._sums, np.zeros(more)])
            self._squares = np.concatenate([self._squares, np.zeros(more)])
        add = _compiled(self._dtype)
        if add is not None:
            add(bits, self._seen, self._length, self._sums, self._squares)
        else:
            plain_rows(self._values(bits), self._seen, self._length, self._sums, self._squares)
        self._seen += bits.size

    def result(self) -> RowStatistics | None:
        """Norm and mean of the rows; None where they were not judged or not finite."""
        count = self._seen // self._length
        if not self._judged:
            return None
        return from_sums(self._sums[:count], self._squares[:count], self._length)

    def _values(self, bits: NDArray[np.generic]) -> NDArray[np.float64]:
        if self._dtype == "F32":
            return bits.view(np.float32).astype(np.float64)
        found: NDArray[np.float64] = (
            bits.astype(np.float64) if self._dtype == "F64" else values(self._dtype)[bits]
        )
        return found


def from_sums(sums: NDArray[np.float64], squares: NDArray[np.float64], length: int) -> RowStatistics | None:
    """What is kept of rows whose finite elements and squares were added up; None for fewer than two rows."""
    norms = np.sqrt(squares)
    if len(norms) < 2 or not np.isfinite(norms).all():
        return None
    middle = float(np.median(norms))
    spread = float(np.median(np.abs(norms - middle)))
    largest = np.argsort(-norms, kind="stable")[:_SHOWN]
    means = sums / length
    centre = float(np.median(means))
    return RowStatistics(
        count=len(norms),
        median_norm=middle,
        norm_spread=spread,
        largest=tuple((int(row), float(norms[row])) for row in largest),
        median_mean=centre,
        mean_spread=float(np.median(np.abs(means - centre))),
        furthest_mean=_furthest(means - centre),
    )


def _compiled(dtype: str) -> Callable[[Array, int, int, Array, Array], None] | None:
    """The compiled loop of a kind, where there is one."""
    found = kernels()
    if found is None:
        return None
    return {"F16": found.rows_f16, "BF16": found.rows_wide, "F32": found.rows_wide}.get(dtype)


def _furthest(away: NDArray[np.float64]) -> tuple[int, float]:
    row = int(np.argmax(np.abs(away)))
    return row, float(away[row])


def plain_rows(
    found: NDArray[np.float64], at: int, length: int, sums: NDArray[np.float64], squares: NDArray[np.float64]
) -> None:
    """The same as the compiled loops (:class:`registry_gate.weights.kernels.Kernels`), with numpy."""
    kept = np.where(np.isfinite(found), found, 0.0)
    with np.errstate(over="ignore"):
        squared = kept * kept
    row = np.arange(at, at + found.size) // length
    first = int(row[0])
    counts = int(row[-1]) - first + 1
    sums[first : first + counts] += np.bincount(row - first, weights=kept, minlength=counts)
    squares[first : first + counts] += np.bincount(row - first, weights=squared, minlength=counts)
