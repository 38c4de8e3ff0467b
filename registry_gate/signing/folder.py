"""A Release on disk, read without following a link: one descriptor a component, plain files only."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from registry_gate.errors import Error, FetchError
from registry_gate.signing.refusal import refusal, shown

_MAX_ENTRIES = 200_000
_MAX_DEPTH = 64
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK a named pipe put in a file's place would hold the reader for ever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Reading(Protocol):
    """One file, opened once, read at any offset.

    ``concurrent`` says that any thread may read anywhere; else one thread reads, from front to back.
    """

    @property
    def concurrent(self) -> bool:
        """Whether several threads may read at once, in any order."""

    def read_into(self, room: memoryview, at: int, run_end: int) -> int:
        """Fill ``room`` from offset ``at`` as far as it goes, and return how far; 0 only at the file's end.

        ``run_end`` is where the caller will next leave a gap: a hint for how much to ask a server for.
        """


class ReleaseSource(Protocol):
    """Where a Release is read from. Names are relative POSIX paths; nothing it says is believed."""

    def names(self) -> frozenset[str]:
        """Every file there is; raises ``link`` or ``unexpected-file`` for what is no plain file."""

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """One file's bytes; raises ``missing-file`` or ``link``."""

    def reading(self, name: str, size: int) -> AbstractContextManager[Reading]:
        """One file of ``size`` bytes, they say, opened once; raises ``missing-file`` or ``link``."""


@dataclass(frozen=True)
class _Descriptor:
    """A plain file's descriptor as a ``Reading``."""

    descriptor: int
    concurrent: bool = True

    def read_into(self, room: memoryview, at: int, run_end: int) -> int:
        return os.preadv(self.descriptor, [room], at)


class Folder:
    """A Release directory. The root itself is resolved once, as the caller named it; use as a context."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            self._descriptor = os.open(self._root.resolve(strict=True), _DIRECTORY)
        except (OSError, RuntimeError, ValueError) as error:
            raise FetchError(
                "no-such-release",
                f"{shown(str(self._root))} cannot be opened as a Release folder: {error}",
                todo="check the path",
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        self._descriptor = -1

    def names(self) -> frozenset[str]:
        """Every plain file under the root; empty folders are entries too, and unexpected."""
        found: set[str] = set()
        try:
            self._walk(self._descriptor, "", 0, found)
        except OSError as error:
            raise FetchError("cannot-read-release", f"{shown(str(self._root))}: {error}") from error
        return frozenset(found)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Open one file, refusing links in every component."""
        *folders, last = name.split("/")
        opened = [os.dup(self._descriptor)]
        try:
            for folder in folders:
                opened.append(_open(folder, _DIRECTORY, opened[-1], name))
            descriptor = _open(last, _FILE, opened[-1], name)
        finally:
            for directory in opened:
                os.close(directory)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise refusal("unexpected-file", f"{shown(name)} is not a plain file")
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            yield file

    @contextmanager
    def reading(self, name: str, size: int) -> Iterator[Reading]:
        """Open one file as ``open`` does, to be read at offsets."""
        with self.open(name) as file:
            yield _Descriptor(file.fileno())

    def _walk(self, descriptor: int, prefix: str, depth: int, found: set[str]) -> None:
        before = len(found)
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_symlink():
                    raise refusal("link", f"{shown(name)} is a symbolic link")
                if entry.is_dir(follow_symlinks=False):
                    self._walk_into(descriptor, entry.name, name, depth, found)
                elif entry.is_file(follow_symlinks=False):
                    found.add(name)
                else:
                    raise refusal("unexpected-file", f"{shown(name)} is not a plain file")
                if len(found) > _MAX_ENTRIES:
                    raise refusal("unexpected-file", f"there are more than {_MAX_ENTRIES} files")
        if prefix and len(found) == before:
            raise refusal("unexpected-file", f"{shown(prefix)} is an empty folder")

    def _walk_into(self, parent: int, entry: str, name: str, depth: int, found: set[str]) -> None:
        if depth >= _MAX_DEPTH:
            raise refusal("unexpected-file", f"{shown(name)} lies more than {_MAX_DEPTH} folders deep")
        descriptor = _open(entry, _DIRECTORY, parent, name)
        try:
            self._walk(descriptor, f"{name}/", depth + 1, found)
        finally:
            os.close(descriptor)


def _open(part: str, flags: int, parent: int, name: str) -> int:
    try:
        return os.open(part, flags, dir_fd=parent)
    except (OSError, ValueError) as error:
        raise _cannot_open(part, parent, name, error) from error


def _cannot_open(part: str, parent: int, name: str, error: OSError | ValueError) -> Error:
    """Say what is in the way: a link, nothing, or an entry of the wrong kind."""
    try:
        mode = os.stat(part, dir_fd=parent, follow_symlinks=False).st_mode
    except (OSError, ValueError):
        return refusal("missing-file", f"{shown(name)} is not there")
    if stat.S_ISLNK(mode):
        return refusal("link", f"{shown(name)} is, or lies behind, a symbolic link")
    if isinstance(error, PermissionError):
        return FetchError("cannot-read-release", f"{shown(name)}: {error.strerror}")
    return refusal("unexpected-file", f"{shown(name)} is not a plain file: {shown(str(error))}")
