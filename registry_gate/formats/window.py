"""A part of a file, read as a file of its own."""

from __future__ import annotations

from io import SEEK_SET
from typing import BinaryIO, Protocol


class Readable(Protocol):
    """The two things that readers of archives do with a file."""

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        """Move to an offset from the beginning."""

    def read(self, size: int = -1, /) -> bytes:
        """Read at most ``size`` bytes."""


class Window:
    """``size`` bytes of a file from ``start`` on; offsets are counted from there."""

    def __init__(self, file: BinaryIO | Readable, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self.size = size
        self._at = 0

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        """Move to an offset from the beginning (``whence`` is ignored)."""
        del whence
        self._at = max(0, offset)
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """Read at most ``size`` bytes, never beyond the window."""
        left = max(0, self.size - self._at)
        self._file.seek(self._start + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data
