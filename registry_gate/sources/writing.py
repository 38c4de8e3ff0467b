"""Writing a candidate's bytes: private, exclusive, hashed on the way, never past the stated size."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry_gate import leftovers
from registry_gate.candidate import FileRecord, SnapshotFile
from registry_gate.errors import Refused, ToolError, UsageError
from registry_gate.sources.guard import quoted

_CHUNK = 1 << 20


@contextmanager
def private_folder(destination: Path, needed: int) -> Iterator[Path]:
    """Make or take an empty folder that only this user can enter; empty it again if the body fails.

    Args:
        destination: must not exist or be an empty folder, not a link.
        needed: bytes that will be written into it.

    Raises:
        UsageError: ``destination-not-empty``.
        ToolError: ``cannot-write`` when the folder cannot be made or its disk is too full.
    """
    try:
        destination.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = destination.lstat()
        if not stat.S_ISDIR(found.st_mode) or any(destination.iterdir()):
            raise UsageError("destination-not-empty", f"{destination} is a link or holds files already")
        destination.chmod(0o700)
        free = shutil.disk_usage(destination).free
    except OSError as error:
        raise cannot_write(error) from error
    if free < needed:
        raise ToolError("cannot-write", f"{needed} bytes are needed, the disk has {free} free")
    try:
        yield destination
    except BaseException:
        _empty(destination)
        raise


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def cannot_write(error: OSError) -> ToolError:
    """The disk said no: that judges nothing about the candidate."""
    advice = "free some space" if error.errno == errno.ENOSPC else "check the folder and its permissions"
    return ToolError("cannot-write", f"the private copy could not be written: {error.strerror}", todo=advice)


class Copy:
    """One file being written: a context manager around an exclusively created descriptor.

    Args:
        root: the private folder.
        stated: path, size and digests to hold the bytes against.
    """

    def __init__(self, root: Path, stated: FileRecord) -> None:
        self.stated = stated
        self._path = root / stated.path
        self._descriptor = -1
        self.restart()

    def __enter__(self) -> Copy:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise cannot_write(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def take_up(self, kept: Path) -> bool:
        """Go on with what a killed run had received of this file; all of it is hashed again.

        Args:
            kept: the folder in which that run's files wait.

        Returns:
            Whether there was anything to go on with.

        Raises:
            ToolError: ``cannot-write``.
        """
        try:
            size = leftovers.take_up(kept / self.stated.path, self._path, self.stated.size)
            if not size:
                return False
            os.close(self._descriptor)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            while chunk := os.read(self._descriptor, _CHUNK):
                self._take(chunk)
        except OSError as error:
            raise cannot_write(error) from error
        return True

    def restart(self) -> None:
        """Forget what was received: the source cannot resume."""
        self.received = 0
        self._sha256 = hashlib.sha256()
        header = b"blob %d\0" % self.stated.size
        self._blob = None if self.stated.sha256 else hashlib.sha1(header, usedforsecurity=False)
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)

    def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            Refused: ``stream-longer-than-stated``.
            ToolError: ``cannot-write``.
        """
        if self.received + len(chunk) > self.stated.size:
            raise self.too_long()
        try:
            left = memoryview(chunk)
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise cannot_write(error) from error
        self._take(chunk)

    def _take(self, chunk: bytes) -> None:
        self.received += len(chunk)
        self._sha256.update(chunk)
        if self._blob is not None:
            self._blob.update(chunk)

    def too_long(self) -> Refused:
        """The refusal of a stream that goes on after its stated size."""
        return Refused(
            "stream-longer-than-stated",
            f"{quoted(self.stated.path)}: more than the {self.stated.size} bytes stated",
            why="the source states one thing and sends another",
        )

    def finish(self) -> SnapshotFile:
        """Compare size and digests with what was stated.

        Raises:
            Refused: ``bytes-differ-from-listing``.
        """
        stated, digest = self.stated, self._sha256.hexdigest()
        if self.received != stated.size:
            raise differ(stated, f"{stated.size} bytes stated, {self.received} came")
        if stated.sha256 is not None and digest != stated.sha256:
            raise differ(stated, f"sha256 {stated.sha256} stated, {digest} came")
        if self._blob is not None and self._blob.hexdigest() != stated.blob_id:
            raise differ(stated, f"git blob {stated.blob_id} stated, {self._blob.hexdigest()} came")
        return SnapshotFile(path=stated.path, size=self.received, sha256=digest)


def differ(stated: FileRecord, detail: str) -> Refused:
    """The refusal of bytes that are not the listed ones."""
    return Refused(
        "bytes-differ-from-listing",
        f"{quoted(stated.path)}: {detail}",
        why="someone between the commit and this machine changed the bytes",
        todo="fetch again from the original endpoint; if it persists, tell whoever runs it",
    )


def refuse_other_paths(root: Path, files: tuple[FileRecord, ...]) -> None:
    """Refuse a private folder that does not hold exactly the listed regular files.

    Raises:
        Refused: ``bytes-differ-from-listing``.
    """
    found = {entry.relative_to(root).as_posix() for entry in root.rglob("*") if not _is_folder(entry)}
    if found != {file.path for file in files}:
        raise Refused("bytes-differ-from-listing", "the copy does not hold exactly the listed paths")


def _is_folder(entry: Path) -> bool:
    return stat.S_ISDIR(entry.lstat().st_mode)
