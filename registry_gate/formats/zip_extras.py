"""The extra fields of a zip record: what kinds there are, and whether they hold only what writers put there.

Sources: PKWARE APPNOTE 6.3.10, sections 4.5 and 4.6; files beyond 4 GiB that torch 2.13 wrote (miniz puts
into the ZIP64 field only what needs 64 bits: the sizes, or 0 where they follow the data, then the header's
offset); torch's padding (``FB``, filled with ``Z``) after torch 2.13 ``inline_container.cc``.
"""

from __future__ import annotations

import struct

ZIP64 = 1
FULL32 = 0xFFFFFFFF
"""What stands in 32 bits where the ZIP64 field has the value."""
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


def sizes_agree(
    extra: bytes, local: tuple[int, int], stated: tuple[int, int], header: int, *, deferred: bool
) -> bool:
    """Whether the ZIP64 field of a local header, if any, says what the directory says and no more.

    Args:
        extra: the extra fields of the local header.
        local: size and packed size in the local header's 32 bits.
        stated: size and packed size as the directory has them.
        header: where the local header lies.
        deferred: the sizes follow the data, and the header need not know them.
    """
    bodies = [body for kind, body in _fields(extra)[0] if kind == ZIP64]
    wide = [size for short, size in zip(local, stated, strict=True) if short == FULL32]
    if not bodies:
        return not wide
    if len(bodies) > 1 or not bodies[0] or len(bodies[0]) % 8:
        return False
    if deferred and not wide and max(stated) >= FULL32:
        wide = list(stated)
    values = struct.unpack(f"<{len(bodies[0]) // 8}Q", bodies[0])
    sizes, behind = values[: len(wide)], values[len(wide) :]
    right = len(sizes) == len(wide) and all(
        value == size or (deferred and value == 0) for value, size in zip(sizes, wide, strict=True)
    )
    return right and (not behind or (header >= FULL32 and behind == (header,)))


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
