"""Memory that nobody can write any more: where verified weights lie while, and after, they are parsed.

A memfd is filled through its descriptor (never through a mapping: writing whole pages spares the kernel
clearing them first), then sealed against writing, growing, shrinking and unsealing. From then on no process,
this one included, can change it; a parser that maps it privately gets tensors that can be written, copy on
write, without a byte of the sealed memory changing. Until the seal, a process that may ptrace this one could
write it, as it could write any memory of this process.

Where the process may not have a memfd, or has no ``/proc`` to name one, a file in a folder of mode 0700
stands in: other users cannot write it, other processes of this user can.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from registry_gate.errors import ToolError

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_NOEXEC_SEAL = 0x8  # linux/memfd.h, Linux 6.3: vm.memfd_noexec=2 refuses memory without it


class Held:
    """One file of ``size`` bytes in private memory; a context that gives the memory back.

    What is mapped from ``path`` stays mapped after that. Bytes that are never written read as zero and take
    no memory.
    """

    def __init__(self, size: int, folder: Path) -> None:
        self._descriptor = _memory()
        self._fallback: Path | None = None
        if self._descriptor < 0:
            self._fallback = folder / f"held-{os.urandom(8).hex()}"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._fallback, flags, 0o600)
        os.ftruncate(self._descriptor, size)
        self._size = size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        if self._fallback is not None:
            self._fallback.unlink(missing_ok=True)

    @property
    def descriptor(self) -> int:
        """Where the bytes are written, until ``seal``."""
        return self._descriptor

    @property
    def path(self) -> Path:
        """How a library of this process opens the bytes."""
        return self._fallback or Path(f"/proc/self/fd/{self._descriptor}")

    @property
    def sealed(self) -> bool:
        """Whether the kernel guards the bytes, not file permissions."""
        return self._fallback is None and fcntl.fcntl(self._descriptor, fcntl.F_GET_SEALS) & _SEALS == _SEALS

    def seal(self) -> None:
        """End all writing; raises ToolError ``cannot-seal`` where the kernel does not do as asked."""
        if self._fallback is not None:
            os.fchmod(self._descriptor, 0o400)
            return
        fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, _SEALS)
        if not self.sealed:
            raise ToolError("cannot-seal", "the kernel did not seal the memory that was to be loaded from")


def _memory() -> int:
    """A new memfd that can be sealed and reached through ``/proc``; -1 where there is no such thing."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    for more in (_NOEXEC_SEAL, 0):
        try:
            descriptor = os.memfd_create("registry-gate", flags | more)
        except OSError:
            continue
        if _reachable(descriptor):
            return descriptor
        os.close(descriptor)
    return -1


def _reachable(descriptor: int) -> bool:
    try:
        there = Path(f"/proc/self/fd/{descriptor}").stat()
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))
