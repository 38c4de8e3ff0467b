"""Digests of a staged file, taken from its bytes in order however they are cut."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from registry_gate.weights.target import Placement

CHUNK_SIZE = 16 << 20
"""Bytes of the aligned pieces whose digests the manifest holds, so that large files verify in parallel."""


class ChunkDigests:
    """sha256 of consecutive ``CHUNK_SIZE`` pieces."""

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
    """sha256 of every tensor of a target file, found by its place in that file and nothing else."""

    def __init__(self, placements: Sequence[Placement]) -> None:
        self._placements = placements
        self._next = 0
        self._position = 0
        self._open = hashlib.sha256()
        self._done: dict[str, str] = {}

    def update(self, data: memoryview) -> None:
        """Take in the next bytes of the file, header included."""
        begin, end = self._position, self._position + len(data)
        self._position = end
        while self._next < len(self._placements):
            placement = self._placements[self._next]
            if placement.begin > end or (placement.begin == end and placement.tensor.nbytes):
                return
            self._open.update(data[max(placement.begin - begin, 0) : max(placement.end - begin, 0)])
            if placement.end > end:
                return
            self._done[placement.tensor.name] = self._open.hexdigest()
            self._open = hashlib.sha256()
            self._next += 1

    def result(self) -> dict[str, str]:
        """The digest of each tensor by name; a tensor whose end was never reached is absent."""
        return dict(self._done)
