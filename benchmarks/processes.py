"""Wall and CPU seconds and memory of this process, its threads and its finished children."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock and of the processors."""

    wall: float
    cpu: float


def cpu_seconds() -> float:
    """User and system time of this process and of the children it has waited for."""
    found = os.times()
    return found.user + found.system + found.children_user + found.children_system


def touch_memory(size: int) -> None:
    """Let the host back free memory: in a virtual machine, who writes first after a pause pays for that.

    In huge pages, because the kernel gives back to the host what is free in such blocks; small ones are cut
    from the same.
    """
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, size + (64 << 20), flags=flags) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        for at in range(0, len(memory), mmap.PAGESIZE):
            memory[at] = 1


def resident_mb() -> float:
    """Memory now, in MiB."""
    return _status("VmRSS")


def peak_mb() -> float:
    """The most memory this process ever had, in MiB."""
    return _status("VmHWM")


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) / 1024
    raise KeyError(field)
