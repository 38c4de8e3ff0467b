"""The log's file: locked, read whole, appended to; what a killed writer left unfinished is set aside."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from registry_gate.errors import FetchError

_LOGGER = logging.getLogger(__name__)
_BLOCK = 1024 * 1024


class LogFile:
    """A log opened and locked; use through ``reading`` or ``appending``."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def read(self) -> tuple[bytes, bytes]:
        """The complete lines, and whatever follows the last newline."""
        pieces = []
        offset = 0
        while piece := os.pread(self._descriptor, _BLOCK, offset):
            pieces.append(piece)
            offset += len(piece)
        data = b"".join(pieces)
        end = data.rfind(b"\n") + 1
        return data[:end], data[end:]

    def append(self, line: bytes) -> None:
        """Write one line and see it to the disk."""
        data = line + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]
        os.fsync(self._descriptor)

    def set_aside(self, torn: bytes) -> None:
        """Keep what a killed writer left, where a person can look at it, and cut it off the log."""
        aside = self._path.with_name(f"{self._path.name}.torn-{sha256(torn).hexdigest()[:16]}")
        aside.write_bytes(torn)
        os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - len(torn))
        os.fsync(self._descriptor)
        _LOGGER.warning("%s: %d bytes of an unfinished entry were moved to %s", self._path, len(torn), aside)


@contextmanager
def reading(path: Path) -> Iterator[LogFile]:
    """Open to read; writers wait.

    Raises:
        FetchError: ``log-unreadable``.
    """
    with _locked(path, os.O_RDONLY, fcntl.LOCK_SH) as descriptor:
        yield LogFile(path, descriptor)


@contextmanager
def appending(path: Path) -> Iterator[LogFile]:
    """Open to append, alone; made if it is not there. Raises ``log-unreadable`` and ``OSError``."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, fcntl.LOCK_EX) as descriptor:
        yield LogFile(path, descriptor)


@contextmanager
def _locked(path: Path, flags: int, lock: int) -> Iterator[int]:
    try:
        # Without O_NONBLOCK a named pipe in its place would hold the gate for ever.
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise FetchError("log-unreadable", f"{path}: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FetchError("log-unreadable", f"{path} is not a plain file")
        fcntl.flock(descriptor, lock)
        yield descriptor
    finally:
        os.close(descriptor)
