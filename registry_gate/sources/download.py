"""Fetching listed files: a few at a time, each resumed where it broke off, each compared as it arrives."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from registry_gate.candidate import FileRecord, SnapshotFile
from registry_gate.errors import FetchError, Refused
from registry_gate.progress import Progress
from registry_gate.sources.connection import HubConnection, Streamed, chunks_of
from registry_gate.sources.guard import quoted
from registry_gate.sources.status import TransientError
from registry_gate.sources.writing import Copy, differ

_PARALLEL = 4
_WORTH_ANOTHER_ROUND = 8 * 1024 * 1024
_GRACE_SECONDS = 900
_SLOWEST_BYTES_PER_SECOND = 32 * 1024
_CONTENT_RANGE = re.compile(r"^bytes (\d+)-\d+/(?:\d+|\*)$")


class Tally:
    """Bytes done over all files, reported from whichever thread made them.

    Args:
        total: bytes in all.
        progress: told ``download``.
    """

    def __init__(self, total: int, progress: Progress) -> None:
        self._lock = threading.Lock()
        self._done = 0
        self._total = total
        self._progress = progress

    def add(self, count: int) -> None:
        """Report ``count`` more bytes; negative when a file starts again."""
        with self._lock:
            self._done += count
            self._progress("download", self._done, self._total)


def download_all(
    connection: HubConnection,
    files: tuple[FileRecord, ...],
    url_of: Callable[[str], str],
    root: Path,
    progress: Progress,
    kept: Path | None = None,
) -> tuple[SnapshotFile, ...]:
    """Fetch all files into the private folder; the first failure calls the rest off.

    Args:
        connection: to the endpoint.
        files: paths, sizes and digests as listed.
        url_of: the address of a path at the pinned commit.
        root: an empty private folder.
        progress: told ``download``.
        kept: files that a killed run had fetched, in whole or in part.

    Raises:
        FetchError, Refused, ToolError: see :func:`download`.
    """
    tally = Tally(sum(file.size for file in files), progress)

    def fetch(file: FileRecord) -> SnapshotFile:
        return download(connection, url_of(file.path), root, file, tally, kept)

    with ThreadPoolExecutor(max_workers=_PARALLEL, thread_name_prefix="fetch") as pool:
        # the largest first, so that no thread is left alone with it at the end
        futures = {file.path: pool.submit(fetch, file) for file in sorted(files, key=lambda file: -file.size)}
        try:
            finished, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
        finally:
            connection.stopped.set()
            for future in futures.values():
                future.cancel()
    ended = [*finished, *(future for future in futures.values() if not future.cancelled())]
    failures = [error for future in ended if (error := future.exception()) is not None]
    # a refusal says more than the broken connections that came of calling the others off
    for failure in sorted(failures, key=lambda error: not isinstance(error, Refused)):
        raise failure
    return tuple(futures[file.path].result() for file in files)


def download(
    connection: HubConnection,
    url: str,
    root: Path,
    stated: FileRecord,
    tally: Tally,
    kept: Path | None = None,
) -> SnapshotFile:
    """Fetch one file: resume after every transient failure, cut at the stated size, compare the digests.

    What a killed run had received counts only if the whole file then is what the listing states; else the
    file is fetched anew.

    Raises:
        FetchError: the endpoint could not be read.
        Refused: ``stream-longer-than-stated`` or ``bytes-differ-from-listing``.
        ToolError: ``cannot-write``.
    """
    with Copy(root, stated) as copy:
        if kept is not None and copy.take_up(kept):
            tally.add(copy.received)
            try:
                return _complete(connection, url, copy, tally)
            except Refused:
                tally.add(-copy.received)
                copy.restart()
        return _complete(connection, url, copy, tally)


def _complete(connection: HubConnection, url: str, copy: Copy, tally: Tally) -> SnapshotFile:
    stated = copy.stated
    deadline = time.monotonic() + _GRACE_SECONDS + stated.size / _SLOWEST_BYTES_PER_SECOND
    tried, counted_from = 0, 0
    while True:
        try:
            if not copy.received or copy.received < stated.size:
                _receive(connection, url, copy, tally, deadline)
            if copy.received == stated.size:
                return copy.finish()
            failure = TransientError(f"{quoted(stated.path)} ended early")
            short = True
        except TransientError as broken:
            failure, short = broken, False
        # a long file over a poor line may break off often, as long as it gets on
        if copy.received - counted_from >= _WORTH_ANOTHER_ROUND:
            tried, counted_from = 0, copy.received
        tried += 1
        if tried >= connection.patience.attempts:
            raise differ(stated, f"the body ends after {copy.received} bytes") if short else failure
        connection.pause(tried, failure)


def _receive(connection: HubConnection, url: str, copy: Copy, tally: Tally, deadline: float) -> None:
    with connection.open(url, offset=copy.received) as response:
        if response.status_code == 416:
            raise differ(copy.stated, f"the source holds no more than {copy.received} bytes of it")
        if copy.received and not _resumes(response, copy.received):
            tally.add(-copy.received)
            copy.restart()
        for chunk in chunks_of(response):
            copy.write(chunk)
            tally.add(len(chunk))
            if connection.stopped.is_set():
                raise FetchError("fetch-failed", "fetch called off: another file failed")
            if time.monotonic() > deadline:
                raise FetchError("fetch-failed", "fetch failed, not admitted: the endpoint is too slow")


def _resumes(response: Streamed, offset: int) -> bool:
    match = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
    return response.status_code == 206 and match is not None and int(match[1]) == offset
