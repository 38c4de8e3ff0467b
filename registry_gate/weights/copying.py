"""Copies one file of a snapshot into the staging folder, as it is or as the tensors of a safetensors file.

Where the source's bytes are already those of the target, in its order, a tensor is hashed once: the piece of
memory that is hashed is the piece that is written, at the place that its digest is kept under. Everywhere
else the source's side is hashed as it passes and the target is read back and hashed from the disk.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from registry_gate.candidate import SnapshotFile
from registry_gate.errors import Refused
from registry_gate.hashing import BLAKE3, SHA256
from registry_gate.weights.digests import CHUNK_SIZE, ChunkDigests, TensorDigests
from registry_gate.weights.lanes import Lanes
from registry_gate.weights.regions import Piece, Region, RegionWalk
from registry_gate.weights.spools import Spools
from registry_gate.weights.target import Layout, is_plain

LANES = 5


@dataclass(frozen=True)
class Copied:
    """The target file: size in bytes, sha256 of it all, digests of its chunks and of its tensors by name.

    Tensors and the chunks aligned to them are digested by BLAKE3, chunks of other files by sha256.
    ``chunk_ends`` are the bytes where the chunks end; none for consecutive ``chunk_size`` pieces.
    """

    size: int
    sha256: str
    chunk_size: int
    chunk_ends: tuple[int, ...]
    algorithm: str
    chunks: tuple[str, ...]
    tensors: dict[str, str]
    regions: list[Region]


class _Written:
    """The digests of a target, fed with its bytes in order."""

    def __init__(self, layout: Layout | None) -> None:
        self.whole = hashlib.sha256()
        self._plain = ChunkDigests()
        self._parts = TensorDigests(layout.placements, len(layout.header)) if layout else None

    def parts(self, data: memoryview) -> None:
        """Digest chunks and tensors."""
        (self._parts or self._plain).update(data)

    def copied(self, size: int, regions: list[Region]) -> Copied:
        """What is known once every byte went by."""
        parts = self._parts
        return Copied(
            size=size,
            sha256=self.whole.hexdigest(),
            chunk_size=CHUNK_SIZE,
            chunk_ends=parts.ends if parts else (),
            algorithm=BLAKE3 if parts else SHA256,
            chunks=tuple(parts.chunks) if parts else self._plain.result(),
            tensors=parts.tensors if parts else {},
            regions=regions,
        )


def copy_file(
    lanes: Lanes,
    path: Path,
    source: SnapshotFile,
    target: Path,
    layout: Layout | None,
    done: Callable[[int], None],
    resumed: bool = False,
) -> Copied:
    """Read the source once; write, hash and measure on the way; compare the source with the snapshot.

    Nothing is forced to the disk: after a power failure the staging folder is thrown away as a whole, and
    a killed process leaves its writes to the system.

    Args:
        lanes: at least ``LANES``.
        path: where the source lies; a link is not followed.
        source: its size and digest as the snapshot has them.
        target: made, with the folders above it.
        layout: where the tensors go; None copies the file as it is.
        done: called with the bytes read so far.
        resumed: a killed run left ``target``, no longer than it will be: it is compared piece by piece with
            what would be written, and written where it differs.

    Raises:
        Refused: ``bytes-changed``, ``bad-copy-plan``.
        OSError: reading or writing failed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    placements = layout.placements if layout else ()
    walk = RegionWalk([item for item in placements if is_plain(item.tensor)])
    spools = Spools([item for item in placements if not is_plain(item.tensor)], target.parent)
    written = _Written(layout)
    with (
        closing(spools),
        _open(path, os.O_RDONLY) as from_,
        _open(target, os.O_RDWR if resumed else _CREATE) as to,
    ):
        pass_ = _Pass(
            to, layout, walk, spools, written, layout is None or layout.sequential, os.fstat(to).st_size
        )
        pass_.begin()
        size = lanes.pump(from_, pass_.jobs, source.size, done)
        _compare(source, size, pass_.read.hexdigest())
        if not pass_.in_order:
            lanes.pump(to, _reading_back(written), layout.size if layout else 0, lambda _: None)
        size = os.fstat(to).st_size
    copied = written.copied(size, walk.regions + spools.regions)
    if pass_.in_order:  # what was hashed is what was read
        for region in copied.regions:
            region.digest = copied.tensors[region.placements[0].tensor.name]
    return copied


_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL


@dataclass
class _Pass:
    """One walk through the source: what the lanes do with each piece of it."""

    to: int
    layout: Layout | None
    walk: RegionWalk
    spools: Spools
    written: _Written
    in_order: bool
    there: int
    position: int = 0
    read: hashlib._Hash = field(default_factory=hashlib.sha256)

    def begin(self) -> None:
        """Write the header, where there is one."""
        if self.layout:
            header = memoryview(self.layout.header)
            self._write_at(header, 0)
            if self.in_order:
                self.written.whole.update(header)
                self.written.parts(header)
                self.position = len(header)

    def jobs(self, data: memoryview) -> list[Callable[[], None]]:
        """What each lane does with the next bytes of the source."""
        if self.layout is None:
            begin, self.position = self.position, self.position + len(data)
            return [
                lambda: self.read.update(data),
                lambda: self.written.whole.update(data),
                lambda: self.written.parts(data),
                lambda: self._write_at(data, begin),
            ]
        pieces = self.walk.cut(data)
        if self.in_order:
            return self._in_order(data, pieces)
        return [
            lambda: self.read.update(data),
            lambda: self._write(pieces),
            lambda: self.spools.update(data, self._write_at),
            lambda: _hash(pieces),
            lambda: _measure(pieces),
        ]

    def _in_order(self, data: memoryview, pieces: list[Piece]) -> list[Callable[[], None]]:
        for piece in pieces:
            # the digests are kept by place, so that nothing may be written anywhere else
            if piece.region.placements[0].begin + piece.at != self.position:
                raise AssertionError("a sequential layout is not sequential")
            self.position += len(piece.data)
        return [
            lambda: self.read.update(data),
            lambda: _each(self.written.whole.update, pieces),
            lambda: _each(self.written.parts, pieces),
            lambda: self._write(pieces),
            lambda: _measure(pieces),
        ]

    def _write(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            for placement in piece.region.placements:
                self._write_at(piece.data, placement.begin + piece.at)

    def _write_at(self, data: memoryview, at: int) -> None:
        if at + len(data) <= self.there and _holds(self.to, data, at):
            return
        while len(data):
            count = os.pwrite(self.to, data, at)
            data, at = data[count:], at + count


def _holds(handle: int, data: memoryview, at: int) -> bool:
    """True where a file already holds these bytes there."""
    found = os.pread(handle, len(data), at)
    # numpy compares at the speed of memory, memoryview byte by byte
    return len(found) == len(data) and np.array_equal(
        np.frombuffer(found, np.uint8), np.frombuffer(data, np.uint8)
    )


def _reading_back(written: _Written) -> Callable[[memoryview], list[Callable[[], None]]]:
    """The jobs of a second pass, over what was written: its order is not that of the source."""
    return lambda data: [lambda: written.whole.update(data), lambda: written.parts(data)]


def _each(take: Callable[[memoryview], object], pieces: list[Piece]) -> None:
    for piece in pieces:
        take(piece.data)


def _hash(pieces: list[Piece]) -> None:
    for piece in pieces:
        piece.region.hash(piece.data, piece.last)


def _measure(pieces: list[Piece]) -> None:
    for piece in pieces:
        piece.region.measure(piece.data, piece.last)


def _compare(source: SnapshotFile, size: int, sha256: str) -> None:
    if size != source.size or sha256 != source.sha256:
        raise Refused(
            "bytes-changed",
            f"{source.path[:200]!r} is not what was downloaded: sha256 {sha256}, expected {source.sha256}",
            why="the file was changed between the comparison with the source and the conversion",
            todo="find out what writes to the gate's private folder, then admit the model again",
        )


@contextmanager
def _open(path: Path, flags: int) -> Iterator[int]:
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        yield handle
    finally:
        os.close(handle)
