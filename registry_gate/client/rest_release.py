"""A Release behind a tracking server: names from its listing, bytes from its artifact route.

A server may ignore a range (MLflow's own proxy does): then its one answer is read on, and what is not wanted
is thrown away. An answer that is neither the whole file nor a range that was asked for is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import BinaryIO

from registry_gate.client.rest import RestRegistry
from registry_gate.signing.folder import Reading
from registry_gate.signing.refusal import refusal, shown

_MAX_LISTED = 100_000
_MAX_DEPTH = 64
_WHOLE, _PARTIAL = 200, 206
_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")
_SKIPPED = 1024 * 1024


class RestRelease:
    """A Release behind a server; names come from its listing, bytes from its artifact route."""

    def __init__(self, registry: RestRegistry, root: str) -> None:
        self._registry = registry
        self._root = root

    def names(self) -> frozenset[str]:
        """Every file the server lists under the Release."""
        found: set[str] = set()
        folders = [""]
        while folders:
            folder = folders.pop()
            for entry, is_folder in self._registry.listing(f"{self._root}/{folder}".rstrip("/")):
                name = f"{folder}{entry.rpartition('/')[2]}"
                if is_folder and name.count("/") < _MAX_DEPTH:
                    folders.append(f"{name}/")
                else:
                    found.add(name)
                if len(found) + len(folders) > _MAX_LISTED:
                    raise refusal("unexpected-file", f"the registry lists more than {_MAX_LISTED} entries")
        return frozenset(found)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """One file's bytes."""
        with self._registry.stream(f"{self._root}/{name}") as stream:
            yield stream

    @contextmanager
    def reading(self, name: str, size: int) -> Iterator[Reading]:
        """One file read forward, in as few requests as its gaps allow."""
        forward = _Forward(self._registry, f"{self._root}/{name}", size)
        try:
            yield forward
        finally:
            forward.close()


class _Forward:
    """One artifact as a ``Reading`` that only goes forward, over as many answers as it takes."""

    concurrent = False

    def __init__(self, registry: RestRegistry, path: str, size: int) -> None:
        self._registry = registry
        self._path = path
        self._size = size
        self._answer: HTTPResponse | None = None
        self._at = 0
        self._end: int | None = None

    def close(self) -> None:
        """Drop the answer being read."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def read_into(self, room: memoryview, at: int, run_end: int) -> int:
        """The next bytes; see ``signing.folder.Reading``."""
        if self._answer is None or (self._end is not None and not self._at <= at < self._end):
            self._ask(at, run_end)
        self._skip(at)
        return self._read(room)

    def _ask(self, at: int, run_end: int) -> None:
        """A new answer: the whole file where all of it is wanted, else the range of the run."""
        self.close()
        whole = at == 0 and run_end >= self._size
        self._answer = self._registry.answer(self._path, None if whole else (at, run_end))
        if self._answer.status == _WHOLE:
            self._at, self._end = 0, None
            return
        stated = _RANGE.fullmatch(self._answer.headers.get("Content-Range", ""))
        if whole or self._answer.status != _PARTIAL or stated is None:
            raise self._registry.failed("it answered a range of bytes with something else")
        first, last = int(stated[1]), int(stated[2])
        if not at == first <= last < run_end:
            raise self._registry.failed("it answered another range of bytes than it was asked for")
        if stated[3] not in ("*", str(self._size)):
            raise refusal(
                "bytes-differ", f"{shown(self._path)} has not the {self._size} bytes that were signed"
            )
        self._at, self._end = at, last + 1

    def _skip(self, at: int) -> None:
        if at < self._at:
            raise self._registry.failed("it sent more than it was asked for")
        room = memoryview(bytearray(min(_SKIPPED, at - self._at)))
        while self._at < at and self._read(room[: at - self._at]):
            pass

    def _read(self, room: memoryview) -> int:
        """Bytes of the open answer; one that ends before it said is a broken connection, not a short file."""
        if self._answer is None:
            return 0
        with self._registry.explained():
            count = self._answer.readinto(room if self._end is None else room[: self._end - self._at])
        if room and not count and (self._answer.length or self._end is not None):
            raise self._registry.failed("the connection ended early")
        self._at += count
        return count
