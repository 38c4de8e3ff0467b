"""Memory of this process alone: where tensors lie from the moment their bytes are verified.

An anonymous private mapping has no name, no descriptor and no second mapping: nothing outside this process
can open it, before or after the check, short of ``ptrace``, which can write all of a process's memory. A
child that this process forks gets a copy on write. What is read from the store is read straight into it and
hashed where it then lies, so that the bytes hashed are the bytes used, not a copy of them.

It is made of huge pages where the kernel has some to give: a page of 2 MiB is allocated, cleared, mapped and
given back as one, for a fraction of what 512 small ones take.
"""

from __future__ import annotations

import mmap
from contextlib import suppress

_HUGE = 2 << 20
_MAP_NORESERVE = 0x4000  # linux/mman.h: what of a file is never read needs no memory set aside


class OwnMemory:
    """Room for one file of ``size`` bytes. What is never written reads as zero and takes no memory.

    There is nothing to close: it goes when the last view of it does.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        self._map = mmap.mmap(-1, max(size, 1), flags=flags)
        self.view = memoryview(self._map)[:size]

    def expect(self, begin: int, end: int) -> None:
        """Say that all these bytes will be written, so that huge pages are no waste; a hint only."""
        first, last = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
        if last - first >= 2 * _HUGE:
            with suppress(OSError):  # a kernel without them
                self._map.madvise(mmap.MADV_HUGEPAGE, first, last - first)

    def read(self, count: int, at: int) -> bytes:
        """A copy of ``count`` bytes from an offset, short at the end only."""
        return bytes(self.view[at : at + count])
