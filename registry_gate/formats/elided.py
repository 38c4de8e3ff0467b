"""A pickle as picklescan may read it: long literals have their length and no content.

picklescan keeps the argument of every instruction, so the arrays of a raw pickle would all lie in memory at
once. It looks at the content of none but texts, and only at those that stand for a name; one of four
thousand bytes stands for none. What is left out here, the gate's own machine has looked into.
"""

from __future__ import annotations

from typing import BinaryIO

_LONG = 4096
_LONGEST_LINE = 16 << 20


class TooMany(ValueError):
    """More instructions than the scanner is given."""


class _Empty(bytes):
    """No bytes, of a stated length: ``pickletools`` asks ``len`` whether a literal was read whole."""

    length: int

    def __len__(self) -> int:
        return self.length


class Elided:
    """The reading half of a binary file.

    Args:
        file: the pickle.
        size: its bytes.
        most: single bytes that may be read, one an instruction.
    """

    def __init__(self, file: BinaryIO, size: int, most: int) -> None:
        self._file, self._size, self._left = file, size, most
        self.seek, self.tell, self.fileno = file.seek, file.tell, file.fileno

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes, or a stand-in for a long literal that is there in full.

        Raises:
            TooMany: more instructions than allowed.
        """
        if size == 1:
            self._left -= 1
            if self._left < 0:
                raise TooMany("more instructions than the scanner is given")
        if size < _LONG or self._file.tell() + size > self._size:
            return self._file.read(size)
        self._file.seek(size, 1)
        stand_in = _Empty()
        stand_in.length = size
        return stand_in

    def readline(self) -> bytes:
        """Read a line; one without an end is cut, and so is no line."""
        return self._file.readline(_LONGEST_LINE)
