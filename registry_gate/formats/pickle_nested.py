"""Pickles kept in the literals of a pickle: as they are, as latin-1 text, escaped, or compressed."""

from __future__ import annotations

import bz2
import codecs
import lzma
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from registry_gate.formats.opcodes import Buffer

_GLANCE = 320
_SHORT = 4096
_MAX_CODED = 1024 * 1024
_MAX_UNPACKED = 16 * 1024 * 1024
_NAME = rb"[^\x00-\x20\x7f]{1,128}\n"
_LIKELY = re.compile(rb"\x80[\x00-\x05]|\(+[cdiltISUVX]|[^\n]{0,32}?[ci]" + _NAME + _NAME)
"""A protocol marker, a mark as protocols without a marker begin, or an import within the first bytes."""
_PACKED = re.compile(rb"x[\x01\x5e\x9c\xda]|\x1f\x8b\x08|BZh[1-9]|\xfd7zXZ\x00|\x5d\x00\x00")
_HIGH = re.compile(rb"[\xc2\xc3][\x80-\xbf]")
_ERRORS = (zlib.error, OSError, EOFError, ValueError, lzma.LZMAError)


@dataclass(frozen=True)
class Literal:
    """A literal that may hold a pickle: its place in the stream, in bytes, and the way it is written."""

    offset: int
    length: int
    coding: str


@dataclass(frozen=True)
class Opened:
    """The bytes of a literal as a loader would have them, ``buffer[start:end]``, and how they were got."""

    buffer: Buffer
    start: int
    end: int
    how: str = ""
    cut: bool = False


def is_likely(data: Buffer, literal: Literal) -> bool:
    """True when a literal may be a pickle or compressed: by its first bytes, or, a short one, by any of them.

    Every pickle that imports holds STACK_GLOBAL or two ends of lines; what is long and holds one is an array.
    """
    head = data[literal.offset : literal.offset + min(literal.length, _GLANCE)]
    if _begins(head):
        return True
    if literal.length <= _SHORT and _may_import(data[literal.offset : literal.offset + literal.length]):
        return True
    return (literal.coding != "raw" or bool(_HIGH.search(head, 0, 8))) and _begins(
        _decoded(head, literal.coding)
    )


def _begins(head: bytes) -> bool:
    return bool(_LIKELY.match(head) or _PACKED.match(head))


def _may_import(data: bytes) -> bool:
    return b"\x93" in data or b"\\x93" in data or (data.count(b"\n") > 1 and (b"c" in data or b"i" in data))


def open_literal(data: Buffer, literal: Literal) -> list[Opened]:
    """Every reading of a literal in which a pickle may lie; compressed data is opened up to a bound."""
    start, end = literal.offset, literal.offset + literal.length
    found = [Opened(data, start, end)] if literal.coding == "raw" else []
    head = data[start : min(end, start + _GLANCE)]
    if literal.length <= _MAX_CODED and (literal.coding != "raw" or _HIGH.search(head)):
        plain = _decoded(data[start:end], literal.coding)
        found.append(Opened(plain, 0, len(plain), " as text"))
    return found + [inner for item in found if (inner := _unpacked(item))]


def _decoded(raw: bytes, coding: str) -> bytes:
    """The bytes behind a text of latin-1 characters, by the way it was written."""
    if coding == "escaped":
        return _unescaped(raw)
    codec = "raw-unicode-escape" if coding == "line" else "utf-8"
    return raw.decode(codec, "replace").encode("latin-1", "replace")


def _unescaped(raw: bytes) -> bytes:
    try:
        return codecs.escape_decode(raw)[0]  # what pickle itself uses
    except ValueError:
        return b""


def _unpacked(item: Opened) -> Opened | None:
    head = bytes(item.buffer[item.start : min(item.end, item.start + 8)])
    if not _PACKED.match(head):
        return None
    for kind, unpack in _UNPACKERS.items():
        try:
            whole = unpack(item.buffer[item.start : min(item.end, item.start + _MAX_UNPACKED)], _MAX_UNPACKED)
        except _ERRORS:
            continue
        return Opened(whole, 0, len(whole), f"{item.how} unpacked from {kind}", len(whole) >= _MAX_UNPACKED)
    return None


_UNPACKERS: dict[str, Callable[[bytes, int], bytes]] = {
    "zlib": lambda data, limit: zlib.decompressobj().decompress(data, limit),
    "gzip": lambda data, limit: zlib.decompressobj(31).decompress(data, limit),
    "bz2": lambda data, limit: bz2.BZ2Decompressor().decompress(data, limit),
    "lzma": lambda data, limit: lzma.LZMADecompressor(memlimit=256 << 20).decompress(data, limit),
}
"""Compression by name, unpacking at most so many bytes."""
