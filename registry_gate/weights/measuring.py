"""Measures the tensors of a file where it lies: read once, hashed and measured, nothing written.

The file is cut between tensors into parts that are walked side by side, so that the digests of two tensors
are taken on two cores. Each part is one walk: the bytes that are hashed are the bytes that are measured.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from registry_gate.errors import FetchError, Refused
from registry_gate.evidence import CopyPlan, TensorMeasurement
from registry_gate.layout import extent
from registry_gate.weights.regions import Meters, Piece, Region, RegionWalk
from registry_gate.weights.spools import Spools
from registry_gate.weights.statistics import TensorMeter
from registry_gate.weights.target import Placement, is_plain, lay_out

PART = 32 << 20
"""Bytes from which on a part may end."""
_READ = 1 << 20  # stays in a core's own cache between the hash and the statistics
_MOST = 8


def measure_file(
    path: Path, plan: CopyPlan, scratch: Path, done: Callable[[int], None], meters: Meters = TensorMeter
) -> tuple[TensorMeasurement, ...]:
    """Digest and statistics of every tensor of a plan, in the plan's order.

    Both digests of a measurement are the source's: nothing is staged.

    Args:
        path: the file that the plan describes; a link is not followed.
        plan: from a confined reader; hostile, checked against the file's size first.
        scratch: a folder for what strided tensors need, emptied again.
        done: called with the bytes read so far, from any thread, one at a time.
        meters: makes what measures a tensor, of its dtype, elements an output row and bytes.

    Raises:
        Refused: ``bad-copy-plan``, ``bytes-changed`` when the file changed its size meanwhile.
        FetchError: ``unreadable``.
        ToolError: ``device-failed``, of meters on another device.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise FetchError("unreadable", f"{path}: {error.strerror}") from error
    try:
        size = os.fstat(handle).st_size
        parts = _parts(lay_out(plan, size).placements)
        regions = _Walks(handle, scratch, meters, done).side_by_side(parts)
        if os.fstat(handle).st_size != size:
            raise _Shorter
    except _Shorter:
        shown = repr(plan.source[:200])
        raise Refused("bytes-changed", f"{shown} changed its size while it was read") from None
    except OSError as error:
        raise FetchError("unreadable", f"{path}: {error.strerror}") from error
    finally:
        os.close(handle)
    return _measurements(plan, regions)


def _measurements(plan: CopyPlan, regions: Sequence[Region]) -> tuple[TensorMeasurement, ...]:
    found = {
        placement.tensor.name: TensorMeasurement(
            name=placement.tensor.name,
            file=plan.target,
            dtype=placement.tensor.dtype,
            shape=placement.tensor.shape,
            source_blake3=region.digest,
            staged_blake3=region.digest,
            **vars(region.statistics),
        )
        for region in regions
        for placement in region.placements
    }
    return tuple(found[tensor.name] for tensor in plan.tensors)


class _Shorter(Exception):
    """The file is no longer as long as it was."""


class _Stopped(BaseException):
    """Another part failed: this one ends, and nobody hears of it."""


@dataclass(frozen=True)
class _Part:
    """Bytes of the file that no tensor reaches out of, and the tensors in them."""

    begin: int
    end: int
    placements: tuple[Placement, ...]


def _parts(placements: Sequence[Placement]) -> list[_Part]:
    """Cut the file where no tensor is cut; tensors that overlap stay together."""
    ranges = sorted((_range(item), index) for index, item in enumerate(placements))
    parts: list[_Part] = []
    begin = end = 0
    inside: list[Placement] = []
    for (first, last), index in ranges:
        if inside and first >= end and end - begin >= PART:
            parts.append(_Part(begin, end, tuple(inside)))
            inside = []
        if not inside:
            begin = end = first
        end = max(end, last)
        inside.append(placements[index])
    return [*parts, _Part(begin, end, tuple(inside))]


def _range(item: Placement) -> tuple[int, int]:
    tensor = item.tensor
    length = tensor.nbytes if is_plain(tensor) else extent(tensor.dtype, tensor.shape, tensor.stride)
    return tensor.offset, tensor.offset + length


class _Walks:
    """Walks through the parts of one open file."""

    def __init__(self, handle: int, scratch: Path, meters: Meters, done: Callable[[int], None]) -> None:
        self._handle, self._scratch, self._meters, self._done = handle, scratch, meters, done
        self._read = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def side_by_side(self, parts: Sequence[_Part]) -> list[Region]:
        """The regions of all parts; the first failure ends the other walks."""
        cores = min(len(os.sched_getaffinity(0)), _MOST)
        walkers = min(cores, len(parts))
        # cores that no part is left for measure beside the hash
        with ThreadPoolExecutor(walkers) as measuring, ThreadPoolExecutor(walkers) as pool:
            beside = measuring if walkers < cores else None
            futures = [pool.submit(self._walk, part, beside) for part in parts]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                self._stopped.set()
            for future in done:
                future.result()
            return [region for future in futures for region in future.result()]

    def _walk(self, part: _Part, beside: ThreadPoolExecutor | None) -> list[Region]:
        plain = [item for item in part.placements if is_plain(item.tensor)]
        strided = [item for item in part.placements if not is_plain(item.tensor)]
        walk = RegionWalk(plain, part.begin, self._meters)
        with closing(Spools(strided, self._scratch, part.begin, self._meters)) as spools:
            for data in self._pieces(part):
                pieces = walk.cut(data)
                measured = beside.submit(_measure, pieces) if beside else None
                _hash(pieces)
                if measured:
                    measured.result()
                else:
                    _measure(pieces)
                spools.update(data, _nowhere)
        return walk.regions + spools.regions

    def _pieces(self, part: _Part) -> Iterator[memoryview]:
        """The bytes of a part, each piece valid until the next."""
        buffer, at = memoryview(bytearray(min(_READ, part.end - part.begin))), part.begin
        while at < part.end:
            size = os.preadv(self._handle, [buffer[: part.end - at]], at)
            if self._stopped.is_set():
                raise _Stopped
            if not size:
                raise _Shorter
            yield buffer[:size]
            at += size
            with self._lock:
                self._read += size
                self._done(self._read)


def _hash(pieces: list[Piece]) -> None:
    for piece in pieces:
        piece.region.hash(piece.data, piece.last)


def _measure(pieces: list[Piece]) -> None:
    for piece in pieces:
        piece.region.measure(piece.data, piece.last)


def _nowhere(_data: memoryview, _at: int) -> None:
    """What is gathered is only measured."""
