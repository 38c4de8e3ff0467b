"""Copies one file of a snapshot into the staging folder, as it is or as the tensors of a safetensors file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from registry_gate.candidate import SnapshotFile
from registry_gate.errors import Refused
from registry_gate.weights.digests import CHUNK_SIZE, ChunkDigests, TensorDigests
from registry_gate.weights.lanes import Lanes
from registry_gate.weights.regions import Piece, Region, RegionWalk
from registry_gate.weights.target import Layout


@dataclass(frozen=True)
class Copied:
    """The target file: size in bytes, digests of it all, of its chunks, of its tensors by name."""

    size: int
    sha256: str
    chunk_size: int
    chunks: tuple[str, ...]
    tensors: dict[str, str]
    regions: list[Region]


@dataclass
class _Written:
    """The digests of a target, fed with its bytes in order."""

    layout: Layout | None
    whole: hashlib._Hash = field(default_factory=hashlib.sha256)
    chunks: ChunkDigests = field(default_factory=ChunkDigests)

    def __post_init__(self) -> None:
        self.tensors = TensorDigests(self.layout.placements if self.layout else ())

    def parts(self, data: memoryview) -> None:
        """Digest chunks and tensors."""
        self.chunks.update(data)
        self.tensors.update(data)


def copy_file(
    lanes: Lanes,
    path: Path,
    source: SnapshotFile,
    target: Path,
    layout: Layout | None,
    done: Callable[[int], None],
) -> Copied:
    """Read the source once; write, hash and measure on the way; compare the source with the snapshot.

    Args:
        lanes: at least five.
        path: where the source lies; a link is not followed.
        source: its size and digest as the snapshot has them.
        target: written anew; folders above it are made.
        layout: where the tensors go; None copies the file as it is.
        done: called with the bytes read so far.

    Raises:
        Refused: ``bytes-changed``, ``bad-copy-plan``.
        OSError: reading or writing failed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    written = _Written(layout)
    walk = RegionWalk(layout.placements if layout else ())
    in_order = layout is None or layout.sequential
    with _open(path, os.O_RDONLY) as from_, _open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL) as to:
        pass_ = _Pass(to, layout, walk, written, in_order)
        pass_.begin()
        size = lanes.pump(from_, pass_.jobs, source.size, done)
        _compare(source, size, pass_.read.hexdigest())
        if not in_order:
            lanes.pump(to, _reading_back(written), layout.size if layout else 0, lambda _: None)
        os.fsync(to)
        size = os.fstat(to).st_size
    return Copied(
        size=size,
        sha256=written.whole.hexdigest(),
        chunk_size=CHUNK_SIZE,
        chunks=written.chunks.result(),
        tensors=written.tensors.result(),
        regions=walk.regions,
    )


@dataclass
class _Pass:
    """One walk through the source: what the lanes do with each piece of it."""

    to: int
    layout: Layout | None
    walk: RegionWalk
    written: _Written
    in_order: bool
    position: int = 0
    read: hashlib._Hash = field(default_factory=hashlib.sha256)

    def begin(self) -> None:
        """Write the header, where there is one."""
        if self.layout:
            header = memoryview(self.layout.header)
            _write_at(self.to, header, 0)
            if self.in_order:
                self.written.whole.update(header)
                self.written.parts(header)

    def jobs(self, data: memoryview) -> list[Callable[[], None]]:
        """What each lane does with the next bytes of the source."""
        begin, self.position = self.position, self.position + len(data)
        if self.layout is None:
            return [
                lambda: self.read.update(data),
                lambda: self._write([(data, begin)]),
                lambda: self.written.parts(data),
            ]
        pieces = self.walk.cut(data)
        places = [
            (piece.data, placement.begin + piece.at)
            for piece in pieces
            for placement in piece.region.placements
        ]
        return [
            lambda: self.read.update(data),
            lambda: self._write(places),
            lambda: self._parts(pieces),
            lambda: _hash(pieces),
            lambda: _measure(pieces),
        ]

    def _write(self, places: list[tuple[memoryview, int]]) -> None:
        for data, at in places:
            _write_at(self.to, data, at)
            if self.in_order:
                self.written.whole.update(data)

    def _parts(self, pieces: list[Piece]) -> None:
        if self.in_order:
            for piece in pieces:
                self.written.parts(piece.data)


def _reading_back(written: _Written) -> Callable[[memoryview], list[Callable[[], None]]]:
    """The jobs of a second pass, over what was written: tied or unaligned tensors are not in source order."""
    return lambda data: [lambda: written.whole.update(data), lambda: written.parts(data)]


def _hash(pieces: list[Piece]) -> None:
    for piece in pieces:
        piece.region.hash(piece.data, piece.last)


def _measure(pieces: list[Piece]) -> None:
    for piece in pieces:
        piece.region.measure(piece.data, piece.last)


def _write_at(handle: int, data: memoryview, at: int) -> None:
    while len(data):
        count = os.pwrite(handle, data, at)
        data, at = data[count:], at + count


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
