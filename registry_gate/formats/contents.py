"""Look into archives, however nested, for pickles: they are judged wherever they lie, within bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO

from registry_gate.evidence import PickleFacts, Problem
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.pickle_program import Program, interpret
from registry_gate.formats.shown import shown
from registry_gate.formats.tar_layout import is_tar, read_tar
from registry_gate.formats.unpacking import packing_of, unpack
from registry_gate.formats.window import Readable, Window
from registry_gate.formats.zip_layout import Member, read_layout

_GLANCE = 64 * 1024
_SLACK = 1024
_MAX_DEPTH = 3
_MAX_LOOKS = 20_000
_STORED, _DEFLATED = 0, 8


@dataclass
class Contents:
    """What was found inside so far, and what may still be read: bytes, pickles, members."""

    limits: ReaderLimits
    left: int
    pickles: list[PickleFacts] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    looks: int = 0

    @classmethod
    def of(cls, limits: ReaderLimits) -> Contents:
        """Nothing found yet."""
        return cls(limits, limits.max_pickle_bytes)

    def problem(self, code: str, detail: str, place: str) -> None:
        """Record a problem of a member, up to the limit."""
        if len(self.problems) < self.limits.max_problems:
            self.problems.append(Problem(code=code, detail=shown(detail, 300), member=shown(place)))

    def spend(self, count: int, place: str) -> bool:
        """Account for bytes read; False, and a problem, once nothing is left."""
        self.left -= count
        self.looks += 1
        if self.left > 0 and self.looks <= _MAX_LOOKS and len(self.pickles) < self.limits.max_pickles:
            return True
        self.problem("pickle-not-understood", "more pickle-like members than the reader takes", place)
        return False


def look(contents: Contents, file: BinaryIO | Readable, size: int, place: str, depth: int = 0) -> None:
    """Look into one stretch of bytes: an archive is opened, a pickle interpreted, anything else passed by.

    Args:
        contents: where findings go.
        file: the bytes.
        size: how many.
        place: what to call them.
        depth: how many archives are around them.
    """
    file.seek(0)
    head = file.read(min(size, _GLANCE))
    if not head or not contents.spend(len(head), place):
        return
    packing = packing_of(head)
    if depth > _MAX_DEPTH and (packing or is_tar(head) or head.startswith(b"PK")):
        contents.problem("archive-nested", f"archives nested deeper than {_MAX_DEPTH}", place)
    elif head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        look_into_zip(contents, file, size, place, depth)
    elif is_tar(head):
        look_into_tar(contents, file, size, place, depth)
    elif packing:
        look_into_packed(contents, file, packing, place, depth)
    else:
        _pickle(contents, file, size, head, place)


def look_into_packed(
    contents: Contents, file: BinaryIO | Readable, packing: str, place: str, depth: int
) -> None:
    """Decompress a stream within bounds and look into what comes out."""
    limit = min(contents.left, contents.limits.max_unpacked_bytes)
    unpacked = unpack(file, packing, limit)
    if unpacked.fault and not (packing == "zlib" and not unpacked.data):
        code = "archive-bomb" if unpacked.bomb else "archive-malformed"
        contents.problem(code, f"{packing}: {unpacked.fault}", place)
    look(contents, BytesIO(unpacked.data), len(unpacked.data), place, depth + 1)


def look_into_tar(
    contents: Contents, file: BinaryIO | Readable, size: int, place: str, depth: int
) -> list[str]:
    """Look into every regular member of a tar file; returns their names."""
    members, problems = read_tar(file, size, contents.limits)
    contents.problems += problems[: contents.limits.max_problems - len(contents.problems)]
    for member in members:
        if contents.left <= 0:
            break
        inside = Window(file, member.offset, member.size)
        look(contents, inside, member.size, f"{place}{member.name}"[-200:], depth + 1)
    return [member.name.removeprefix("./") for member in members]


def look_into_zip(contents: Contents, file: BinaryIO | Readable, size: int, place: str, depth: int) -> None:
    """Look into every member of a zip archive, stored or deflated."""
    layout = read_layout(file, size, contents.limits)
    for problem in layout.problems:
        if problem.code != "zip-compressed" and len(contents.problems) < contents.limits.max_problems:
            contents.problems.append(problem)
    for member in layout.members:
        if contents.left <= 0:
            break
        look_into_member(contents, file, member, f"{place}/" if place else "", depth)


def member_bytes(file: BinaryIO | Readable, member: Member, limit: int) -> bytes:
    """The first ``limit`` bytes of a member, stored or deflated; empty for any other method."""
    if member.method == _DEFLATED:
        return unpack(Window(file, member.offset, member.packed), "deflate", limit).data
    return Window(file, member.offset, min(member.size, limit)).read() if member.stored else b""


def member_window(contents: Contents, file: BinaryIO | Readable, member: Member) -> Readable:
    """A member as a file of its own; what is deflated is unpacked within bounds."""
    if member.stored:
        return Window(file, member.offset, member.size)
    limit = min(max(contents.left, 1), contents.limits.max_unpacked_bytes)
    data = member_bytes(file, member, limit)
    contents.spend(len(data), member.name)
    if len(data) != member.size:
        code = "archive-bomb" if len(data) > limit else "zip-malformed"
        contents.problem(code, "what comes out is not the size stated", member.name)
    return BytesIO(data)


def look_into_member(
    contents: Contents, file: BinaryIO | Readable, member: Member, place: str, depth: int
) -> None:
    """Look into one member of a zip archive; one packed in a way nobody here reads is a problem."""
    name = f"{place}{member.name}"[-200:]
    inside = Window(file, member.offset, member.size if member.method == _STORED else member.packed)
    if member.method == _STORED:
        look(contents, inside, member.size, name, depth + 1)
    elif member.method == _DEFLATED:
        unpacked = unpack(inside, "deflate", min(contents.left, contents.limits.max_unpacked_bytes))
        if unpacked.bomb or len(unpacked.data) != member.size:
            code = "archive-bomb" if unpacked.bomb else "zip-malformed"
            contents.problem(code, unpacked.fault or "its size is not the one stated", name)
        look(contents, BytesIO(unpacked.data), len(unpacked.data), name, depth + 1)
    else:
        contents.problem("archive-malformed", f"compressed by method {member.method}", name)


def _pickle(contents: Contents, file: BinaryIO | Readable, size: int, head: bytes, place: str) -> None:
    """Interpret what has a pickle's name or marker, or does something when read as one."""
    program = interpret(head, contents.limits, member=place)
    marked = place.endswith((".pkl", ".pickle")) or (head[:1] == b"\x80" and head[1:2] <= b"\x05")
    goes_on = size > len(head) and (program.calls or program.end >= len(head) - _SLACK)
    if goes_on or (marked and size > len(head)):
        file.seek(0)
        data = file.read(min(size, max(0, contents.left)))
        contents.spend(len(data), place)
        program = interpret(data, contents.limits, member=place)
    if marked or program.calls:
        keep(contents, program)


def keep(contents: Contents, program: Program) -> None:
    """Take a program and its problems into what was found."""
    contents.pickles += program.pickles
    contents.problems += program.problems[: contents.limits.max_problems - len(contents.problems)]
