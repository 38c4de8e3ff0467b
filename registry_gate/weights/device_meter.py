"""The statistics of one tensor taken on a torch device, equal to the CPU's.

Counts, extremes and histograms are the same numbers; sums are added up in another order. A piece is copied to
the device once and stays in its cache for what is asked of it. 8 and 16-bit kinds: one histogram of the bit
patterns by position class, from which the rest follows as on the CPU. ``scatter_add_`` fills it and not
``bincount``, which looks twice for the range of what it is given and waits for the answer. Wider kinds:
reductions over float64 values, whose answers lie on the device until a few pieces have passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from registry_gate.evidence import RowStatistics
from registry_gate.layout import ITEMSIZE
from registry_gate.weights import device_values
from registry_gate.weights.devices import STAGED, Device, failing_with_words
from registry_gate.weights.kernels import CLASSES, OCTAVES
from registry_gate.weights.low_bits import LowBits
from registry_gate.weights.number_kinds import NARROW, values
from registry_gate.weights.rows import JUDGED, from_sums
from registry_gate.weights.statistics import (
    WIDE_BLOCK,
    Moments,
    Statistics,
    WholeElements,
    from_counts,
)

if TYPE_CHECKING:
    import torch

_PENDING = 16
"""Pieces whose answers wait on the device; then one copy brings them."""


class _Tally(Protocol):
    def add(self, data: torch.Tensor) -> None: ...

    def result(self, rows: RowStatistics | None) -> Statistics: ...


class DeviceMeter:
    """As :class:`registry_gate.weights.statistics.TensorMeter`, on a device.

    Args:
        dtype: safetensors' name.
        rows: elements an output row; 0 for none.
        device: where.
    """

    def __init__(self, dtype: str, rows: int, device: Device) -> None:
        self._device = device
        self._whole = WholeElements(ITEMSIZE[dtype], STAGED // ITEMSIZE[dtype])
        with failing_with_words():
            self._tally: _Tally = _Patterns(dtype, device) if dtype in NARROW else _Wide(dtype, device)
            self._rows = _Rows(dtype, rows, device) if rows and dtype in JUDGED else None

    def update(self, data: memoryview) -> None:
        """Take in the next bytes, C-contiguous; they may change when it has returned.

        Raises:
            ToolError: ``device-failed``; so does :meth:`result`.
        """
        with failing_with_words():
            for block in self._whole.cut(data):
                self.add_there(self._device.upload(block))

    def add_there(self, data: torch.Tensor) -> None:
        """Take in whole elements that lie on the device already: (bytes,) uint8."""
        self._tally.add(data)
        if self._rows:
            self._rows.add(data)

    def result(self) -> Statistics:
        """The statistics of all whole elements seen. Raises ValueError when bytes are left over."""
        self._whole.end()
        with failing_with_words():
            return self._tally.result(self._rows.result() if self._rows else None)


class _Patterns:
    """Exact counts of 8 and 16-bit patterns, by position class."""

    def __init__(self, dtype: str, device: Device) -> None:
        import torch

        self._dtype, self._patterns = dtype, len(values(dtype))
        self._counts = torch.zeros(CLASSES * self._patterns, dtype=torch.int64, device=device.torch_device)
        self._one = torch.ones(1, dtype=torch.int64, device=device.torch_device)
        self._elements = 0

    def add(self, data: torch.Tensor) -> None:
        found = device_values.patterns(data, ITEMSIZE[self._dtype])
        place = device_values.classes(self._elements, found) * self._patterns + found
        self._counts.scatter_add_(0, place, self._one.expand_as(place))
        self._elements += found.numel()

    def result(self, rows: RowStatistics | None) -> Statistics:
        counts: NDArray[np.int64] = self._counts.cpu().numpy()
        return from_counts(self._dtype, counts.reshape(CLASSES, self._patterns), rows)


class _Wide:
    """Counts, extremes and moments of 32 and 64-bit kinds.

    What is known of a piece is one vector of float64, in which counts are exact: pivot, NaN, infinities,
    zeros, least, greatest, squares about the pivot, sums of the position classes, bins.
    """

    _HEAD = 7 + CLASSES

    def __init__(self, dtype: str, device: Device) -> None:
        self._dtype, self._device = dtype, device
        self._moments, self._low_bits = Moments(), LowBits(dtype)
        self._elements = 0
        self._pending: list[tuple[int, torch.Tensor, torch.Tensor | None]] = []

    def add(self, data: torch.Tensor) -> None:
        import torch

        found = device_values.wide(data, self._dtype)
        finite = torch.isfinite(found)
        kept = torch.where(finite, found, 0.0)
        number = finite.sum()
        pivot = _pivot(kept, finite, number)
        away = torch.where(finite, found - pivot, 0.0)
        kinds = device_values.classes(self._elements, found)
        head = [
            pivot,
            torch.isnan(found).sum(),
            torch.isinf(found).sum(),
            number - torch.count_nonzero(kept),
            torch.where(finite, found, torch.inf).min(),
            torch.where(finite, found, -torch.inf).max(),
            torch.dot(away, away),
            *(torch.where(kinds == kind, kept, 0.0).sum() for kind in range(CLASSES)),
        ]
        bins = device_values.octaves(kept)
        seen = torch.cat([torch.stack([item.to(torch.float64) for item in head]), bins])
        low = device_values.low_bytes(data, self._dtype, WIDE_BLOCK)
        self._pending.append((found.numel(), seen, low))
        self._elements += found.numel()
        if len(self._pending) >= _PENDING:
            self._collect()

    def _collect(self) -> None:
        import torch

        if not self._pending:
            return
        seen = torch.stack([item for _, item, _ in self._pending]).cpu().numpy()
        lows = [low for _, _, low in self._pending if low is not None]
        for counts in torch.cat(lows).cpu().numpy() if lows else ():
            self._low_bits.take(counts)
        for (elements, _, _), found in zip(self._pending, seen, strict=True):
            self._take(elements, found)
        self._pending = []

    def _take(self, elements: int, found: NDArray[np.float64]) -> None:
        moments = self._moments
        moments.bins += found[self._HEAD :].astype(np.int64).reshape(2, OCTAVES)
        reals = found[4 : self._HEAD].copy()
        reals[0], reals[1] = min(moments.low, reals[0]), max(moments.high, reals[1])
        with np.errstate(all="ignore"):  # sums may overflow, as on the CPU
            moments.take(elements, float(found[0]), found[1:4].astype(np.int64), reals)

    def result(self, rows: RowStatistics | None) -> Statistics:
        self._collect()
        return self._moments.result(self._low_bits.result(), rows)


def _pivot(kept: torch.Tensor, finite: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
    """The piece's own mean; where float64 cannot hold the sum, its first finite element."""
    import torch

    mean = kept.sum() / number.clamp(min=1)
    first = kept[finite.to(torch.int8).argmax()]
    return torch.where(torch.isfinite(mean), mean, first)


class _Rows:
    """Sums and squares of the finite elements of each output row."""

    def __init__(self, dtype: str, length: int, device: Device) -> None:
        import torch

        self._dtype, self._length, self._seen = dtype, length, 0
        self._sums = torch.zeros((2, 0), dtype=torch.float64, device=device.torch_device)

    def add(self, data: torch.Tensor) -> None:
        import torch

        found = device_values.real(data, self._dtype)
        kept = torch.where(torch.isfinite(found), found, 0.0)
        self._grow(-(-(self._seen + kept.numel()) // self._length))
        head = min(-self._seen % self._length, kept.numel())
        whole = (kept.numel() - head) // self._length
        tail = head + whole * self._length
        self._put(kept[:head], 1)
        self._put(kept[head:tail], whole)
        self._put(kept[tail:], 1)

    def _put(self, kept: torch.Tensor, rows: int) -> None:
        """Add elements that belong to so many rows, from the one that was reached."""
        import torch

        if not kept.numel():
            return
        by_row, first = kept.reshape(rows, -1), self._seen // self._length
        added = torch.stack([by_row.sum(dim=1), (by_row * by_row).sum(dim=1)])
        self._sums[:, first : first + rows] += added
        self._seen += kept.numel()

    def _grow(self, rows: int) -> None:
        import torch

        have = self._sums.shape[1]
        if rows > have:
            more = max(rows, 2 * have) - have
            self._sums = torch.cat([self._sums, self._sums.new_zeros((2, more))], dim=1)

    def result(self) -> RowStatistics | None:
        found = self._sums[:, : self._seen // self._length].cpu().numpy()
        return from_sums(found[0], found[1], self._length)
