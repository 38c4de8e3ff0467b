"""The members of a tar file, by their 512-byte headers; links, devices and sparse files are never followed.

Source: POSIX.1-2017 pax, section "ustar Interchange Format"; GNU long names and pax headers are read over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from registry_gate.evidence import Problem
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.shown import shown
from registry_gate.formats.window import Readable
from registry_gate.paths import path_hazard

BLOCK = 512
_REGULAR = (b"0", b"\x00", b"7")
_FOLDER = b"5"
_EXTENSION = (b"x", b"g", b"L", b"K")
_MAX_MEMBERS = 10_000


@dataclass(frozen=True)
class TarMember:
    """A regular file of the archive: name, offset of its data, size in bytes."""

    name: str
    offset: int
    size: int


def is_tar(head: bytes) -> bool:
    """True where the first block is a tar header: only its checksum proves it, for old tars have no magic."""
    return _checksum_holds(head[:BLOCK]) and head[:1] != b"\x00"


def _checksum_holds(block: bytes) -> bool:
    if len(block) < BLOCK:
        return False
    stated = _octal(block[148:156])
    return stated is not None and stated == sum(block) - sum(block[148:156]) + 8 * 0x20


def _octal(field: bytes) -> int | None:
    text = field.strip(b" \x00")
    if not text or len(text) > 12 or any(byte not in b"01234567" for byte in text):
        return None
    return int(text, 8)


def read_tar(
    file: BinaryIO | Readable, size: int, limits: ReaderLimits
) -> tuple[list[TarMember], list[Problem]]:
    """Walk the headers.

    Args:
        file: the archive.
        size: its size in bytes.
        limits: bound on the number of problems.
    """
    members: list[TarMember] = []
    problems: list[Problem] = []
    at, seen = 0, set[str]()
    while at + BLOCK <= size and len(members) + len(problems) < _MAX_MEMBERS:
        file.seek(at)
        block = file.read(BLOCK)
        if not block.strip(b"\x00"):
            break
        length = _octal(block[124:136])
        if not _checksum_holds(block) or length is None or at + BLOCK + length > size:
            problems.append(Problem(code="tar-malformed", detail="a tar header is out of order", offset=at))
            break
        _entry(block, TarMember(_name(block), at + BLOCK, length), seen, members, problems)
        at += BLOCK + (length + BLOCK - 1) // BLOCK * BLOCK
    return members, problems[: limits.max_problems]


def _name(block: bytes) -> str:
    prefix = block[345:500].partition(b"\x00")[0] if block[257:262] == b"ustar" else b""
    name = block[:100].partition(b"\x00")[0]
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "backslashreplace")


def _entry(
    block: bytes, member: TarMember, seen: set[str], members: list[TarMember], problems: list[Problem]
) -> None:
    kind, where = block[156:157], shown(member.name)
    if kind in _EXTENSION or kind == _FOLDER:
        return
    if kind not in _REGULAR:
        problems.append(Problem(code="tar-special", detail=f"a link or device ({kind!r})", member=where))
        return
    plain = member.name.removeprefix("./")
    hazard = path_hazard(plain)
    if hazard:
        problems.append(Problem(code="tar-malformed", detail=f"a member's name {hazard}", member=where))
    if plain in seen:
        problems.append(Problem(code="tar-malformed", detail="two members have one name", member=where))
    seen.add(plain)
    members.append(member)
