"""A local folder as a source: its identity is the digest of its content."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry_gate.candidate import Candidate, FileRecord, Listing, Snapshot, SnapshotFile
from registry_gate.errors import FetchError, Refused, UsageError
from registry_gate.policy import Policy
from registry_gate.progress import Progress, silent
from registry_gate.record import canonical_json
from registry_gate.sources.guard import quoted, refuse_over_limit, refuse_unsafe, refuse_unsafe_path
from registry_gate.sources.writing import Copy, differ, private_folder, refuse_other_paths

_CHUNK = 1024 * 1024


class FolderSource:
    """A folder on this machine, for models made in the house.

    Args:
        candidate: kind ``folder``, no endpoint; its id is the name given with ``--as``, which borrows no
            other source's identity.
        folder: read, never written; nothing in it is passed over silently.
    """

    def __init__(self, candidate: Candidate, folder: Path) -> None:
        self._candidate = candidate
        self._folder = folder

    @property
    def candidate(self) -> Candidate:
        """What was asked for."""
        return self._candidate

    def resolve(self, policy: Policy) -> Listing:
        """Hash every file. The commit is ``sha256:`` over the canonical (path, size, sha256) list.

        Raises:
            UsageError: ``folder-source-not-allowed``, ``no-such-folder``, ``folder-has-vcs-data``.
            FetchError: ``unreadable``.
            Refused: ``unsafe-entry`` (links, devices, pipes), ``unsafe-path``, ``over-limit``, or
                ``bytes-differ-from-listing`` when a file changes while it is hashed.
        """
        self._refuse_use(policy)
        sizes = dict(sorted(_walk(self._folder)))
        refuse_over_limit(list(sizes.values()), policy.limits)
        files = tuple(self._hashed(path, size) for path, size in sizes.items())
        return Listing(
            candidate=self._candidate, resolved_id=self._candidate.id, commit=content_id(files), files=files
        )

    def fetch(
        self,
        listing: Listing,
        destination: Path,
        policy: Policy,
        progress: Progress = silent,
        kept: Path | None = None,
    ) -> Snapshot:
        """Copy the files into an empty private folder, hashing again.

        Args:
            listing: from :meth:`resolve` of this source.
            destination: empty, or not there yet.
            policy: its limits hold here too.
            progress: told ``download``, bytes done, bytes in all.
            kept: not used: copying a local file costs no more than hashing what was kept of it.

        Raises:
            UsageError: as :meth:`resolve`, and ``other-listing``, ``destination-not-empty``.
            FetchError: ``unreadable``.
            Refused: the listing is unsafe, or ``bytes-differ-from-listing``: the folder changed meanwhile.
            ToolError: ``cannot-write``.
        """
        del kept
        self._refuse_use(policy)
        if listing.candidate != self._candidate or listing.commit != content_id(listing.files):
            raise UsageError("other-listing", "the listing is not of this folder")
        refuse_unsafe(listing, policy)
        if dict(_walk(self._folder)).keys() != {file.path for file in listing.files}:
            raise Refused("bytes-differ-from-listing", "files came or went since the folder was listed")
        with private_folder(destination, listing.total_size) as root:
            copied: list[SnapshotFile] = []
            for file in listing.files:
                copied.append(self._copy(file, root))
                progress("download", sum(done.size for done in copied), listing.total_size)
            refuse_other_paths(root, listing.files)
        return Snapshot(listing_digest=listing.digest(), root=root, files=tuple(copied))

    def _refuse_use(self, policy: Policy) -> None:
        if not policy.allow_folder_source:
            raise UsageError(
                "folder-source-not-allowed",
                "the policy admits no local folders",
                todo="publish the model on a hub the policy lists, or use another policy",
            )
        if not self._folder.is_dir():
            raise UsageError("no-such-folder", f"{self._folder} is not a folder")

    def _hashed(self, path: str, size: int) -> FileRecord:
        digest, total = hashlib.sha256(), 0
        with _opened(self._folder, path) as descriptor:
            for chunk in _chunks(descriptor, path):
                digest.update(chunk)
                total += len(chunk)
        record = FileRecord(path=path, size=size, sha256=digest.hexdigest())
        if total != size:
            raise differ(record, "changed while it was hashed")
        return record

    def _copy(self, file: FileRecord, root: Path) -> SnapshotFile:
        with _opened(self._folder, file.path) as descriptor, Copy(root, file) as copy:
            for chunk in _chunks(descriptor, file.path):
                copy.write(chunk)
            return copy.finish()


def content_id(files: tuple[FileRecord, ...]) -> str:
    """``sha256:<hex>`` over the canonical JSON of the sorted ``[path, size, sha256]`` of each file."""
    rows = sorted([file.path, file.size, file.sha256] for file in files)
    return "sha256:" + hashlib.sha256(canonical_json(rows)).hexdigest()


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    """Path and size of each regular file; anything else stops the walk with an error."""
    try:
        for below, folders, files, handle in os.fwalk(folder, follow_symlinks=False, onerror=_raise):
            prefix = os.path.relpath(below, folder)
            for name in (*folders, *files):
                path = name if prefix == "." else f"{prefix}/{name}"
                found = os.stat(name, dir_fd=handle, follow_symlinks=False)
                _refuse_entry(path, found.st_mode)
                if stat.S_ISREG(found.st_mode):
                    yield path, found.st_size
    except OSError as error:
        raise _unreadable(str(error.filename or folder), error) from error


def _raise(error: OSError) -> None:
    raise error


def _refuse_entry(path: str, mode: int) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise Refused("unsafe-path", f"{quoted(path)} is not UTF-8", why="no listing can name it") from None
    parts = path.casefold().split("/")
    if parts[-1] == ".git" or parts[-2:] == [".cache", "huggingface"]:
        raise UsageError(
            "folder-has-vcs-data",
            f"the folder holds {quoted(path)}",
            why="nothing is ignored silently, and version-control or download data is no part of a model",
            todo="copy the model's files to a folder of their own (git: git archive HEAD | tar -x -C DIR)",
        )
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise Refused(
            "unsafe-entry",
            f"{quoted(path)} is a link, device, pipe or socket, not a file",
            why="it leads out of the folder or never ends",
            todo="replace it by the file it stands for",
        )
    refuse_unsafe_path(path)


@contextmanager
def _opened(folder: Path, path: str) -> Iterator[int]:
    try:
        # O_NONBLOCK: a pipe put there meanwhile must not hold the gate up
        descriptor = os.open(folder / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        _refuse_entry(path, os.fstat(descriptor).st_mode)
        yield descriptor
    finally:
        os.close(descriptor)


def _chunks(descriptor: int, path: str) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except OSError as error:
            raise _unreadable(path, error) from error
        if not chunk:
            return
        yield chunk


def _unreadable(path: str, error: OSError) -> FetchError:
    return FetchError(
        "unreadable",
        f"fetch failed, not admitted: {quoted(path)} cannot be read ({error.strerror})",
        todo="check its permissions",
    )
