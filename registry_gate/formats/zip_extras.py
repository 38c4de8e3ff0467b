"""The extra fields of a zip record: what kinds there are, and whether they hold only what writers put there.

Sources: PKWARE APPNOTE 6.3.10, sections 4.5 and 4.6; torch's padding (``FB``, filled with ``Z``) after torch
2.13 ``caffe2/serialize/inline_container.cc``, ``getPadding``.
"""

from __future__ import annotations

import struct

ZIP64 = 1
UNICODE_PATH = 0x7075
_PADDING = 0x4246
_TIMES_AND_OWNERS = {0x000A: 36, 0x5455: 13, 0x5855: 12, 0x7855: 4, 0x7875: 24}
"""NTFS and Unix times and owners, and the most bytes that each takes."""


def kinds(extra: bytes) -> set[int]:
    """The kinds of the fields of one record."""
    return {kind for kind, _ in _fields(extra)[0]}


def hidden(extra: bytes) -> str | None:
    """Say what lies in the fields of a record that no writer of checkpoints puts there."""
    fields, rest = _fields(extra)
    if rest:
        return f"{len(rest)} bytes behind its extra fields"
    for kind, body in fields:
        if kind == _PADDING and body.strip(b"Z"):
            return "something in its padding"
        if kind not in (ZIP64, UNICODE_PATH, _PADDING) and len(body) > _TIMES_AND_OWNERS.get(kind, -1):
            return f"{len(body)} bytes in an extra field of kind 0x{kind:04x}"
    return None


def _fields(extra: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """(kind, content) of each field, and what is left over."""
    found, at = [], 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if at + 4 + length > len(extra):
            break
        found.append((kind, extra[at + 4 : at + 4 + length]))
        at += 4 + length
    return found, extra[at:]
