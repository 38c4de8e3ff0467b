"""Digests of a staged file, taken from its bytes in order however they are cut."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from registry_gate.hashing import ALGORITHMS, BLAKE3
from registry_gate.weights.target import Placement

CHUNK_SIZE = 16 << 20
"""Bytes of the pieces whose digests the manifest holds: large files verify in parallel and in part."""
ALONE = 1 << 20
"""Bytes from which on a tensor is a piece of its own, so that one digest serves both."""
_blake3 = ALGORITHMS[BLAKE3]


@dataclass(frozen=True)
class _Span:
    """Some bytes of the target: one tensor, or the header. ``ends`` says that a chunk ends here."""

    end: int
    name: str | None
    alone: bool
    ends: bool


class ChunkDigests:
    """sha256 of consecutive ``CHUNK_SIZE`` pieces, for files that hold no tensors."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._open = hashlib.sha256()
        self._room = CHUNK_SIZE

    def update(self, data: memoryview) -> None:
        """Take in the next bytes of the file."""
        while len(data):
            piece = data[: self._room]
            self._open.update(piece)
            self._room -= len(piece)
            data = data[len(piece) :]
            if not self._room:
                self._close()

    def result(self) -> tuple[str, ...]:
        """The digests, the last of a shorter piece; none for an empty file."""
        if self._room != CHUNK_SIZE:
            self._close()
        return tuple(self._done)

    def _close(self) -> None:
        self._done.append(self._open.hexdigest())
        self._open, self._room = hashlib.sha256(), CHUNK_SIZE


class TensorDigests:
    """BLAKE3 of every tensor of a target file, and of chunks aligned to tensors, by their place alone.

    A tensor of ``ALONE`` bytes or more is a chunk; the header and smaller tensors share chunks that end at
    the first tensor's end beyond ``CHUNK_SIZE`` bytes. ``tensors`` and ``chunks`` hold what is complete.
    """

    def __init__(self, placements: Sequence[Placement], header_size: int) -> None:
        self._spans = list(_spans(placements, header_size))
        self.ends = tuple(span.end for span in self._spans if span.ends)
        self.tensors: dict[str, str] = {}
        self.chunks: list[str] = []
        self._next = 0
        self._position = 0
        self._tensor = _blake3()
        self._chunk = _blake3()

    def update(self, data: memoryview) -> None:
        """Take in the next bytes of the file, header included."""
        while self._next < len(self._spans):
            span = self._spans[self._next]
            piece = data[: span.end - self._position]
            if span.name is not None:
                self._tensor.update(piece)
            if not span.alone:
                self._chunk.update(piece)
            self._position += len(piece)
            data = data[len(piece) :]
            if self._position < span.end:
                return
            self._close(span)

    def _close(self, span: _Span) -> None:
        self._next += 1
        digest = self._tensor.hexdigest()
        if span.name is not None:
            self.tensors[span.name] = digest
            self._tensor = _blake3()
        if span.ends:
            self.chunks.append(digest if span.alone else self._chunk.hexdigest())
            self._chunk = _blake3()


def _spans(placements: Sequence[Placement], header_size: int) -> Iterator[_Span]:
    """The header and every tensor; a shared chunk ends where it is long enough, or before a lone tensor."""
    start = 0
    following = [*(item.tensor.nbytes >= ALONE for item in placements), True]
    ends = following[0] or header_size >= CHUNK_SIZE
    yield _Span(header_size, None, False, ends)
    for place, next_alone in zip(placements, following[1:], strict=True):
        start = place.begin if ends else start
        alone = place.tensor.nbytes >= ALONE
        ends = alone or next_alone or place.end - start >= CHUNK_SIZE
        yield _Span(place.end, place.tensor.name, alone, ends)
