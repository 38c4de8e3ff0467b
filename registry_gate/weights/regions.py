"""Finds, in a file that passes by in pieces, the bytes of its tensors: digests and statistics on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from registry_gate.hashing import ALGORITHMS, BLAKE3, Hash
from registry_gate.weights.rows import row_length
from registry_gate.weights.statistics import Statistics, TensorMeter
from registry_gate.weights.target import Placement, bad_plan

MAX_OPEN = 64


class Meter(Protocol):
    """Measures one tensor; see :class:`registry_gate.weights.statistics.TensorMeter`."""

    def update(self, data: memoryview) -> None:
        """Take in the next bytes, valid until it returns."""

    def result(self) -> Statistics:
        """The statistics of what was taken in."""


Meters: TypeAlias = Callable[[str, int, int], Meter]
"""Makes a meter for a dtype, elements an output row (0: none), and bytes."""


@dataclass
class Region:
    """A range of source bytes and the tensors made of it: tied tensors share one.

    ``digest`` is BLAKE3 of the elements as they are staged (C order, little-endian), taken on the source's
    side. It and ``statistics`` are there once the range has passed.
    """

    begin: int
    end: int
    dtype: str
    placements: list[Placement] = field(default_factory=list)
    digest: str = ""
    statistics: Statistics | None = None
    meters: Meters = TensorMeter
    _hash: Hash | None = None
    _meter: Meter | None = None

    def hash(self, data: memoryview, last: bool) -> None:
        """Take the next bytes of the range into its digest."""
        hashed = self._hash = self._hash or ALGORITHMS[BLAKE3]()
        hashed.update(data)
        if last:
            self.digest, self._hash = hashed.hexdigest(), None

    def measure(self, data: memoryview, last: bool) -> None:
        """Take the next bytes of the range into its statistics."""
        if self._meter is None:
            self._meter = self.meters(self.dtype, self._row_length(), self.end - self.begin)
        self._meter.update(data)
        if last:
            self.statistics, self._meter = self._meter.result(), None

    def _row_length(self) -> int:
        """Elements an output row; 0 where rows mean nothing."""
        lengths = {row_length(item.tensor.shape) for item in self.placements}
        return max(lengths, default=0)


@dataclass(frozen=True)
class Piece:
    """Some bytes of a region: ``at`` counts from the region's beginning, ``last`` ends it."""

    region: Region
    at: int
    data: memoryview
    last: bool


class RegionWalk:
    """Cuts the pieces of a source file, from byte ``begin`` on, into pieces of regions."""

    def __init__(self, placements: Sequence[Placement], begin: int = 0, meters: Meters = TensorMeter) -> None:
        shared: dict[tuple[int, int, str], Region] = {}
        for placement in placements:
            tensor = placement.tensor
            key = (tensor.offset, tensor.offset + tensor.nbytes, tensor.dtype)
            shared.setdefault(key, Region(*key, meters=meters)).placements.append(placement)
        self.regions = sorted(shared.values(), key=lambda region: (region.begin, region.end))
        self._waiting = [region for region in self.regions if region.begin < region.end]
        self._open: list[Region] = []
        self._next = 0
        self._position = begin
        for region in self.regions:
            if region.begin == region.end:
                region.hash(memoryview(b""), True)
                region.measure(memoryview(b""), True)

    def cut(self, data: memoryview) -> list[Piece]:
        """The pieces of regions in the next bytes of the file, in the regions' order.

        Raises:
            Refused: ``bad-copy-plan`` when more than ``MAX_OPEN`` ranges overlap at one place.
        """
        begin, end = self._position, self._position + len(data)
        self._position = end
        found, still_open = [], []
        while self._next < len(self._waiting) and self._waiting[self._next].begin < end:
            self._open.append(self._waiting[self._next])
            self._next += 1
        for region in self._open:
            first, last = max(region.begin, begin), min(region.end, end)
            found.append(
                Piece(region, first - region.begin, data[first - begin : last - begin], last == region.end)
            )
            if last < region.end:
                still_open.append(region)
        if len(still_open) > MAX_OPEN:
            raise bad_plan(f"more than {MAX_OPEN} tensors overlap at byte {end}")
        self._open = still_open
        return found
