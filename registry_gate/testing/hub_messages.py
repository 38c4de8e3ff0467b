"""What travels: a reply, its content (from memory or disk, tampered with or not), an injected failure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from registry_gate.testing.repository import Blob, JsonValue

_CHUNK = 256 * 1024


@dataclass(frozen=True)
class Tamper:
    """How served bytes differ from the stated ones.

    Attributes:
        replace: serve these bytes instead.
        flip_at: invert the byte at this offset.
        extra: bytes sent after the stated ones.
        drop: bytes left off the end.
        announce: False sends no Content-Length and ends the body by closing the connection.
        encoding: a Content-Encoding to claim.
    """

    replace: bytes | None = None
    flip_at: int | None = None
    extra: bytes = b""
    drop: int = 0
    announce: bool = True
    encoding: str | None = None


@dataclass(frozen=True)
class Failure:
    """One injected failure: a status instead of the answer, or an answer that breaks off.

    Attributes:
        match: only requests whose path and query contain this text fail.
        status: answered instead; None lets the true answer begin.
        retry_after: value of the Retry-After header.
        cut_after: bytes of the body sent before the connection is cut.
        stall_after: bytes of the body sent before the server falls silent until the hub stops.
    """

    match: str = ""
    status: int | None = None
    retry_after: str | None = None
    cut_after: int | None = None
    stall_after: int | None = None

    @property
    def breaks_after(self) -> int | None:
        """Bytes of the body after which it breaks off, if it does."""
        return self.cut_after if self.cut_after is not None else self.stall_after


@dataclass(frozen=True)
class Content:
    """A body: bytes or a file on disk, and how it is tampered with. Never held in memory as a whole."""

    source: bytes | Path
    tamper: Tamper = Tamper()

    @classmethod
    def of(cls, blob: Blob, tamper: Tamper | None) -> Content:
        """The body of one file of a commit."""
        source = tamper.replace if tamper and tamper.replace is not None else blob.content
        return cls(source, tamper or Tamper())

    @property
    def size(self) -> int:
        """Bytes that will be served."""
        return self._true_size() - self.tamper.drop + len(self.tamper.extra)

    @property
    def plain_file(self) -> Path | None:
        """The file, where it can be sent as it lies."""
        touched = self.tamper.flip_at is not None or self.tamper.drop or self.tamper.extra
        return self.source if isinstance(self.source, Path) and not touched else None

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        """The served bytes from ``start`` to before ``stop``."""
        kept = self._true_size() - self.tamper.drop
        for offset in range(start, min(stop, kept), _CHUNK):
            yield self._flipped(offset, self._read(offset, min(offset + _CHUNK, stop, kept)))
        if stop > kept:
            yield self.tamper.extra[max(0, start - kept) : stop - kept]

    def _true_size(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def _read(self, start: int, stop: int) -> bytes:
        if isinstance(self.source, bytes):
            return self.source[start:stop]
        with self.source.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    def _flipped(self, offset: int, chunk: bytes) -> bytes:
        at = self.tamper.flip_at
        if at is None or not offset <= at < offset + len(chunk):
            return chunk
        inside = at - offset
        return chunk[:inside] + bytes([chunk[inside] ^ 0xFF]) + chunk[inside + 1 :]


@dataclass(frozen=True)
class Reply:
    """Status, headers and body of one answer; ``ranges`` lets a Range header select a part of it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Content = Content(b"")
    ranges: bool = False


@dataclass(frozen=True)
class Seen:
    """One request as it arrived; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]


def json_reply(value: JsonValue, headers: Mapping[str, str] | None = None, status: int = 200) -> Reply:
    """A JSON answer."""
    body = json.dumps(value).encode()
    return Reply(status, {"Content-Type": "application/json", **(headers or {})}, Content(body))


def error_reply(status: int, code: str, message: str) -> Reply:
    """An error as the hub words it: ``X-Error-Code`` and ``X-Error-Message``."""
    return json_reply({"error": message}, {"X-Error-Code": code, "X-Error-Message": message}, status)
