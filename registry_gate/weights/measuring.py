"""Measures the tensors of a file where it lies: read once, hashed and measured, nothing written."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from registry_gate.errors import FetchError, Refused
from registry_gate.evidence import CopyPlan, TensorMeasurement
from registry_gate.weights.lanes import Lanes
from registry_gate.weights.regions import Piece, RegionWalk
from registry_gate.weights.spools import Spools
from registry_gate.weights.target import is_plain, lay_out

LANES = 3


def measure_file(
    lanes: Lanes, path: Path, plan: CopyPlan, scratch: Path, done: Callable[[int], None]
) -> tuple[TensorMeasurement, ...]:
    """Digest and statistics of every tensor of a plan, in the plan's order.

    Both digests of a measurement are the source's: nothing is staged.

    Args:
        lanes: at least ``LANES``.
        path: the file that the plan describes; a link is not followed.
        plan: from a confined reader; hostile, checked against the file's size first.
        scratch: a folder for what strided tensors need, emptied again.
        done: called with the bytes read so far.

    Raises:
        Refused: ``bad-copy-plan``, ``bytes-changed`` when the file changed its size meanwhile.
        FetchError: ``unreadable``.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise FetchError("unreadable", f"{path}: {error.strerror}") from error
    try:
        return _measure(lanes, handle, plan, scratch, done)
    except OSError as error:
        raise FetchError("unreadable", f"{path}: {error.strerror}") from error
    finally:
        os.close(handle)


def _measure(
    lanes: Lanes, handle: int, plan: CopyPlan, scratch: Path, done: Callable[[int], None]
) -> tuple[TensorMeasurement, ...]:
    size = os.fstat(handle).st_size
    placements = lay_out(plan, size).placements
    walk = RegionWalk([item for item in placements if is_plain(item.tensor)])

    with closing(Spools([item for item in placements if not is_plain(item.tensor)], scratch)) as spools:

        def jobs(data: memoryview) -> list[Callable[[], None]]:
            pieces = walk.cut(data)
            return [
                lambda: _hash(pieces),
                lambda: _take(pieces),
                lambda: spools.update(data, _nowhere),
            ]

        if lanes.pump(handle, jobs, size, done) != size:
            raise Refused("bytes-changed", f"{plan.source[:200]!r} changed its size while it was read")
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
        for region in walk.regions + spools.regions
        for placement in region.placements
    }
    return tuple(found[tensor.name] for tensor in plan.tensors)


def _hash(pieces: list[Piece]) -> None:
    for piece in pieces:
        piece.region.hash(piece.data, piece.last)


def _take(pieces: list[Piece]) -> None:
    for piece in pieces:
        piece.region.measure(piece.data, piece.last)


def _nowhere(_data: memoryview, _at: int) -> None:
    """What is gathered is only measured."""
