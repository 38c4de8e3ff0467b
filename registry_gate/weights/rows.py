"""The rows of a final layer, one an output: a planted class or token shows as a row unlike the others."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from registry_gate.evidence import RowStatistics
from registry_gate.weights.kernels import kernels
from registry_gate.weights.number_kinds import NARROW, values

MAX_ROWS = 1 << 20
_SHOWN = 5
_FINAL = re.compile(
    r"(.*\.)?(lm_head|embed_out|classifier|score|fc|head|heads\.head|classification_head\.out_proj"
    r"|out_proj|output_layer|qa_outputs|pre_classifier|decoder|last_linear|logits)(\.(\d|out_proj|dense))?\.weight"
)
_IN_BLOCK = re.compile(r"(layers?|blocks?|h|stages?|encoder|decoder)\.(\d+)\.")
_WIDE = {"F32": "<f4", "F64": "<f8"}


def row_length(name: str, shape: Sequence[int]) -> int:
    """Elements an output row of a final layer's weight; 0 for every other tensor.

    Final layers are known by their names in the common libraries; a layer inside a numbered block is none.
    """
    if len(shape) < 2 or not 2 <= shape[0] <= MAX_ROWS or 0 in shape:
        return 0
    if not _FINAL.fullmatch(name) or _IN_BLOCK.search(name):
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
        self._judged = dtype.startswith(("F", "BF")) and (dtype in NARROW or dtype in _WIDE)
        self._seen = 0
        self._sums, self._squares = np.zeros(0), np.zeros(0)

    def add(self, data: memoryview) -> None:
        """Take in whole elements."""
        if not self._judged:
            return
        found = self._values(data)
        rows = -(-(self._seen + found.size) // self._length)
        if rows > self._sums.size:
            more = max(rows, 2 * self._sums.size) - self._sums.size
            self._sums = np.concatenate([self._sums, np.zeros(more)])
            self._squares = np.concatenate([self._squares, np.zeros(more)])
        compiled = kernels()
        add = compiled.rows if compiled else plain_rows
        add(found, self._seen, self._length, self._sums, self._squares)
        self._seen += found.size

    def result(self) -> RowStatistics | None:
        """Norm and mean of the rows; None where they were not judged or not finite."""
        count = self._seen // self._length
        if not self._judged or count < 2:
            return None
        norms = np.sqrt(self._squares[:count])
        middle = float(np.median(norms))
        spread = float(np.median(np.abs(norms - middle)))
        largest = np.argsort(-norms, kind="stable")[:_SHOWN]
        if not np.isfinite(norms).all():
            return None
        means = self._sums[:count] / self._length
        centre = float(np.median(means))
        return RowStatistics(
            count=count,
            median_norm=middle,
            norm_spread=spread,
            largest=tuple((int(row), float(norms[row])) for row in largest),
            median_mean=centre,
            mean_spread=float(np.median(np.abs(means - centre))),
            furthest_mean=_furthest(means - centre),
        )

    def _values(self, data: memoryview) -> NDArray[np.float64]:
        if self._dtype in NARROW:
            table = values(self._dtype)
            found: NDArray[np.float64] = table[np.frombuffer(data, "u1" if len(table) == 256 else "<u2")]
            return found
        return np.frombuffer(data, dtype=_WIDE[self._dtype]).astype(np.float64)


def _furthest(away: NDArray[np.float64]) -> tuple[int, float]:
    row = int(np.argmax(np.abs(away)))
    return row, float(away[row])


def plain_rows(
    found: NDArray[np.float64], at: int, length: int, sums: NDArray[np.float64], squares: NDArray[np.float64]
) -> None:
    """The same as the compiled ``rows`` (:class:`registry_gate.weights.kernels.Kernels`), with numpy."""
    kept = np.where(np.isfinite(found), found, 0.0)
    row = np.arange(at, at + found.size) // length
    first = int(row[0])
    counts = int(row[-1]) - first + 1
    sums[first : first + counts] += np.bincount(row - first, weights=kept, minlength=counts)
    squares[first : first + counts] += np.bincount(row - first, weights=kept * kept, minlength=counts)
