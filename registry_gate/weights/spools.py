"""Tensors whose bytes cannot be copied as they lie: strided views and big-endian elements.

The range of source bytes that such tensors reach is put by as it streams past, in a nameless file beside the
target, and their elements are gathered from it once it is whole. Tensors whose ranges overlap share one, so
what is put by is never more than the source, and the source itself is read once.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from registry_gate.evidence import TensorSource
from registry_gate.layout import ITEMSIZE, extent
from registry_gate.weights.regions import Meters, Region
from registry_gate.weights.statistics import TensorMeter
from registry_gate.weights.target import Placement

_BLOCK = 4 << 20
_COMPLEX = {"C64": 4}  # the parts of a complex number are swapped one by one

Write = Callable[[memoryview, int], None]
"""Writes bytes at a place of the target file."""


@dataclass
class _Spool:
    """A range of source bytes and the tensors that are gathered from it."""

    begin: int
    end: int
    regions: list[Region] = field(default_factory=list)
    handle: int = -1


class Spools:
    """Fed with a source file in order, from ``begin`` on; writes each tensor when its range has passed."""

    def __init__(
        self, placements: Sequence[Placement], folder: Path, begin: int = 0, meters: Meters = TensorMeter
    ) -> None:
        self._folder = folder
        self.regions = _regions(placements, meters)
        self._waiting = _grouped(self.regions)
        self._position = begin

    def update(self, data: memoryview, write: Write) -> None:
        """Take in the next bytes of the source; ``write`` puts gathered bytes into the target."""
        begin, end = self._position, self._position + len(data)
        self._position = end
        while self._waiting and self._waiting[0].begin < end:
            spool = self._waiting[0]
            first, last = max(spool.begin, begin), min(spool.end, end)
            self._put(spool, data[first - begin : last - begin], first - spool.begin)
            if last < spool.end:
                return
            self._waiting.pop(0)
            self._gather(spool, write)

    def close(self) -> None:
        """Let go of ranges that never ended."""
        for spool in self._waiting:
            if spool.handle >= 0:
                os.close(spool.handle)
                spool.handle = -1

    def _put(self, spool: _Spool, data: memoryview, at: int) -> None:
        if spool.handle < 0:
            spool.handle, name = tempfile.mkstemp(prefix=".range-", dir=self._folder)
            Path(name).unlink()
        while len(data):
            count = os.pwrite(spool.handle, data, at)
            data, at = data[count:], at + count

    def _gather(self, spool: _Spool, write: Write) -> None:
        try:
            whole = mmap.mmap(spool.handle, spool.end - spool.begin, prot=mmap.PROT_READ)
        finally:
            os.close(spool.handle)
            spool.handle = -1
        for region in spool.regions:
            tensor, at = region.placements[0].tensor, 0
            for block in gathered(whole, tensor, spool.begin):
                last = at + len(block) == tensor.nbytes
                region.hash(block, last)
                region.measure(block, last)
                for placement in region.placements:
                    write(block, placement.begin + at)
                at += len(block)
            whole.madvise(mmap.MADV_DONTNEED)


def gathered(source: mmap.mmap | bytes, tensor: TensorSource, begin: int = 0) -> Iterator[memoryview]:
    """The elements of a tensor in C order, little-endian, a few MB at a time.

    Args:
        source: the bytes of the file from ``begin`` on, as far as the tensor reaches.
        tensor: strided or big-endian; at least one element.
        begin: byte of the file where ``source`` begins.

    Raises:
        ValueError: the tensor reaches outside ``source``.
    """
    for block in _blocks(_view(source, tensor, tensor.offset - begin)):
        plain = np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("<"))
        yield plain.reshape(-1).view(np.uint8).data


def _view(source: mmap.mmap | bytes, tensor: TensorSource, offset: int) -> NDArray[np.unsignedinteger]:
    """The tensor as an array of unsigned integers over the source; numpy itself checks the bounds."""
    size = ITEMSIZE[tensor.dtype]
    unit = _COMPLEX.get(tensor.dtype, size)
    stride = tensor.stride if tensor.stride is not None else _c_order(tensor.shape)
    kept = [(count, step * size) for count, step in zip(tensor.shape, stride, strict=True) if count != 1]
    if unit != size:
        kept.append((size // unit, unit))
    kind = np.dtype(f"{'>' if tensor.byteorder == 'big' else '<'}u{unit}")
    shape, steps = tuple(count for count, _ in kept), tuple(step for _, step in kept)
    return np.ndarray(shape, kind, source, offset, steps)


def _c_order(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _blocks(view: NDArray[np.unsignedinteger]) -> Iterator[NDArray[np.unsignedinteger]]:
    """Cut an array along its first dimensions into parts of at most a few MB, in C order."""
    if view.nbytes <= _BLOCK or view.ndim == 0:
        yield view
        return
    row = view.nbytes // view.shape[0]
    if row > _BLOCK:
        for part in view:
            yield from _blocks(part)
        return
    step = _BLOCK // row
    for first in range(0, view.shape[0], step):
        yield view[first : first + step]


def _regions(placements: Sequence[Placement], meters: Meters) -> list[Region]:
    """One region for each view; tied tensors, the same view under several names, share it."""
    shared: dict[TensorSource, Region] = {}
    for placement in placements:
        tensor = placement.tensor
        view = tensor.model_copy(update={"name": "", "storage": ""})
        end = tensor.offset + extent(tensor.dtype, tensor.shape, tensor.stride)
        region = shared.setdefault(view, Region(tensor.offset, end, tensor.dtype, meters=meters))
        region.placements.append(placement)
    return sorted(shared.values(), key=lambda region: (region.begin, region.end))


def _grouped(regions: Sequence[Region]) -> list[_Spool]:
    """Ranges that overlap, made one."""
    spools: list[_Spool] = []
    for region in regions:
        if not spools or region.begin >= spools[-1].end:
            spools.append(_Spool(region.begin, region.end))
        spools[-1].end = max(spools[-1].end, region.end)
        spools[-1].regions.append(region)
    return spools
