"""A strict reading of a zip archive: every byte accounted for, so that no two readers can see it apart.

An archive as torch writes it is a row of stored members from byte 0 on, each followed by its data descriptor,
then the central directory and its end record. Whatever departs from that row is a Problem: prefixes, gaps,
overlaps, compression, encryption, names or sizes that differ between local header and directory, duplicates,
trailing bytes. Source: APPNOTE.TXT 6.3.10 sections 4.3 and 4.4.
"""

from __future__ import annotations

import stat
import struct
import zlib
from dataclasses import dataclass

from registry_gate.evidence import Problem
from registry_gate.formats import zip_extras
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.opcodes import Malformed
from registry_gate.formats.window import Readable
from registry_gate.formats.zip_extras import FULL32
from registry_gate.paths import path_hazard

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_DESCRIPTOR = 0x0008
_UTF8 = 0x0800
_ORDINARY = (0, stat.S_IFREG, stat.S_IFDIR)
_MAX_DIRECTORY = 64 * 1024 * 1024


@dataclass(frozen=True)
class Member:
    """One member: ``offset`` is the absolute offset of its first data byte, ``size`` in bytes.

    ``packed`` is its size as it lies there, compressed by zip's ``method`` (0 is stored, 8 deflated).
    """

    name: str
    offset: int
    size: int
    crc: int
    stored: bool
    method: int = 0
    packed: int = 0


@dataclass(frozen=True)
class Layout:
    """The members of an archive, in directory order, and everything out of order about it."""

    members: tuple[Member, ...]
    problems: tuple[Problem, ...]

    def member(self, name: str) -> Member | None:
        """The member of a name, or None."""
        return next((item for item in self.members if item.name == name), None)


@dataclass(frozen=True)
class _Entry:
    """One record of the central directory."""

    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header: int
    mode: int = 0
    extra: bytes = b""


def read_layout(file: Readable, size: int, limits: ReaderLimits) -> Layout:
    """Read an archive's directory and hold every local header against it.

    Args:
        file: the archive, opened for reading.
        size: its size in bytes.
        limits: bound on the number of members.

    Returns:
        The layout; with no members where the directory itself cannot be followed.
    """
    try:
        entries, directory = _directory(file, size, limits)
        return _members(file, entries, directory)
    except Malformed as stop:
        problem = Problem(code="zip-malformed", detail=stop.detail, offset=stop.offset)
        return Layout((), (problem,))


def read_member(file: Readable, member: Member, limit: int) -> bytes:
    """The bytes of a stored member, its CRC compared.

    Raises:
        Malformed: larger than the limit, compressed, cut short, or with another CRC.
    """
    if not member.stored or member.size > limit:
        raise Malformed(member.offset, f"member {member.name[:100]!r} is compressed or above {limit} bytes")
    file.seek(member.offset)
    data = file.read(member.size)
    if len(data) != member.size or zlib.crc32(data) != member.crc:
        raise Malformed(member.offset, f"member {member.name[:100]!r} does not have the CRC it states")
    return data


def _read(file: Readable, offset: int, length: int) -> bytes:
    if offset < 0:
        raise Malformed(0, "a record lies before the file")
    file.seek(offset)
    data = file.read(length)
    if len(data) != length:
        raise Malformed(offset, "the archive ends inside a record")
    return data


def _directory(file: Readable, size: int, limits: ReaderLimits) -> tuple[list[_Entry], int]:
    """The central directory's entries and its offset; the end record must be the file's last bytes."""
    end_at = size - _END.size
    magic, disk, first_disk, here, count, length, start, comment = _END.unpack(_read(file, end_at, _END.size))
    if magic != b"PK\x05\x06" or comment:
        raise Malformed(end_at, "the end record is not the last thing in the archive")
    stop = end_at
    if FULL32 in (length, start) or count == 0xFFFF or _has_locator(file, end_at):
        here, count, length, start, stop = _end64(file, end_at)
    elif disk or first_disk:
        raise Malformed(end_at, "the archive is split over several disks")
    if here != count or start + length != stop:
        raise Malformed(stop, "the central directory does not end where the end record begins")
    if count > limits.max_members or length > _MAX_DIRECTORY:
        raise Malformed(start, f"{count} members are more than the reader takes")
    entries = _entries(_read(file, start, length), start, count)
    return entries, start


def _has_locator(file: Readable, end_at: int) -> bool:
    at = end_at - _LOCATOR.size
    return at >= 0 and _read(file, at, 4) == b"PK\x06\x07"


def _end64(file: Readable, end_at: int) -> tuple[int, int, int, int, int]:
    """(entries here, entries, length, start, own offset) of the zip64 end record."""
    at = end_at - _LOCATOR.size
    magic, disk, where, disks = _LOCATOR.unpack(_read(file, at, _LOCATOR.size))
    if magic != b"PK\x06\x07" or disk or disks > 1 or where != at - _END64.size:
        raise Malformed(at, "the zip64 locator does not point at the record before it")
    record = _END64.unpack(_read(file, where, _END64.size))
    if record[0] != b"PK\x06\x06" or record[1] != _END64.size - 12 or record[4] or record[5]:
        raise Malformed(where, "the zip64 end record is not in order")
    return record[6], record[7], record[8], record[9], where


def _entries(data: bytes, start: int, count: int) -> list[_Entry]:
    entries: list[_Entry] = []
    at = 0
    for _ in range(count):
        if at + _CENTRAL.size > len(data):
            raise Malformed(start + at, "the central directory is shorter than its count of members")
        fields = _CENTRAL.unpack_from(data, at)
        if fields[0] != b"PK\x01\x02":
            raise Malformed(start + at, "a central directory record has no signature")
        names, extras, comments = fields[10], fields[11], fields[12]
        name_at = at + _CENTRAL.size
        extra = data[name_at + names : name_at + names + extras]
        size, packed, header = _wide(extra, fields[9], fields[8], fields[16], start + at)
        raw = data[name_at : name_at + names]
        sizes = (fields[7], packed, size, header)
        entries.append(_Entry(raw, fields[3], fields[4], *sizes, fields[15] >> 16, extra))
        at = name_at + names + extras + comments
    if at != len(data):
        raise Malformed(start + at, "the central directory holds more than its members")
    return entries


def _wide(extra: bytes, size: int, packed: int, header: int, at: int) -> tuple[int, int, int]:
    """Sizes and offset with the zip64 extra field (id 1) applied to those stated as 0xFFFFFFFF."""
    values = [size, packed, header]
    wanted = [index for index, value in enumerate(values) if value == FULL32]
    position, seen = 0, False
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        body = extra[position + 4 : position + 4 + length]
        if kind == 1:
            if seen or len(body) < 8 * len(wanted):
                raise Malformed(at, "the zip64 sizes of a member are not in order")
            for slot, index in enumerate(wanted):
                values[index] = struct.unpack_from("<Q", body, 8 * slot)[0]
            seen = True
        position += 4 + length
    if wanted and not seen:
        raise Malformed(at, "a member lacks its zip64 sizes")
    return values[0], values[1], values[2]


def _members(file: Readable, entries: list[_Entry], directory: int) -> Layout:
    members: list[Member] = []
    problems: list[Problem] = []
    stops: list[tuple[int, int]] = []
    seen: set[str] = set()
    for entry in entries:
        name, complaint = _name(entry, seen)
        data_at, local = _local(file, entry, directory)
        complaints = [*complaint, *local, *_storage(entry)]
        problems += [Problem(code=code, detail=text, member=name[:200]) for code, text in complaints]
        seen.add(name.casefold())
        stops.append((entry.header, _stop(file, entry, data_at, directory)))
        stored = entry.method == 0
        members.append(Member(name, data_at, entry.size, entry.crc, stored, entry.method, entry.packed))
    problems += _row(stops, directory)
    return Layout(tuple(members), tuple(problems))


def _name(entry: _Entry, seen: set[str]) -> tuple[str, list[tuple[str, str]]]:
    try:
        name = entry.raw_name.decode("utf-8")
    except UnicodeDecodeError:
        name = entry.raw_name.decode("latin-1")
        return name, [("zip-malformed", "a member's name is not UTF-8")]
    if not name.isascii() and not entry.flags & _UTF8:
        return name, [("zip-readers-differ", "a member's name is not ASCII and not marked as UTF-8")]
    if name.casefold() in seen:
        return name, [("zip-readers-differ", f"two members are called {name[:100]!r}")]
    hazard = path_hazard(name.removesuffix("/"))
    return name, [("zip-malformed", f"a member's name {hazard}")] if hazard else []


def _local(file: Readable, entry: _Entry, directory: int) -> tuple[int, list[tuple[str, str]]]:
    """The offset of a member's data, and how its local header differs from the directory."""
    if entry.header + _LOCAL.size > directory:
        raise Malformed(entry.header, "a local header lies inside or behind the central directory")
    fields = _LOCAL.unpack(_read(file, entry.header, _LOCAL.size))
    if fields[0] != b"PK\x03\x04":
        raise Malformed(entry.header, "a member has no local header")
    name = _read(file, entry.header + _LOCAL.size, fields[9])
    extra = _read(file, entry.header + _LOCAL.size + fields[9], fields[10])
    data_at = entry.header + _LOCAL.size + fields[9] + fields[10]
    if data_at + entry.packed > directory:
        raise Malformed(entry.header, "a member reaches into the central directory")
    stated = {
        "crc": (fields[6], entry.crc),
        "size": (fields[8], entry.size),
        "packed": (fields[7], entry.packed),
    }
    deferred = bool(entry.flags & _DESCRIPTOR)
    differing = [
        word
        for word, (local, central) in stated.items()
        if local != central and not (deferred and local == 0) and not (word != "crc" and local == FULL32)
    ]
    differing += ["name"] if name != entry.raw_name else []
    differing += ["name"] if zip_extras.UNICODE_PATH in zip_extras.kinds(extra) else []
    short, long = (fields[8], fields[7]), (entry.size, entry.packed)
    if not zip_extras.sizes_agree(extra, short, long, entry.header, deferred=deferred):
        differing.append("width of its sizes")
    differing += ["flags"] if fields[2] != entry.flags else []
    differing += ["compression"] if fields[3] != entry.method else []
    found = []
    if differing:
        said = f"local header and directory differ in {', '.join(differing)}"
        found.append(("zip-readers-differ", said))
    for where, fields_of in (("local header", extra), ("directory", entry.extra)):
        hidden = zip_extras.hidden(fields_of)
        if hidden:
            found.append(("zip-hidden-bytes", f"the {where} holds {hidden}"))
    return data_at, found


def _storage(entry: _Entry) -> list[tuple[str, str]]:
    found = []
    if entry.flags & ~(_DESCRIPTOR | _UTF8):
        found.append(
            ("zip-readers-differ", f"flag bits 0x{entry.flags:04x} (encryption, patches or unknown)")
        )
    if zip_extras.UNICODE_PATH in zip_extras.kinds(entry.extra):
        found.append(("zip-readers-differ", "an extra field gives the member another name"))
    if stat.S_IFMT(entry.mode) not in _ORDINARY:
        found.append(("zip-readers-differ", "a member is marked as a link or device"))
    if entry.method != 0:
        found.append(("zip-compressed", f"compressed by method {entry.method}"))
    elif entry.packed != entry.size:
        found.append(("zip-readers-differ", "a stored member states two sizes"))
    return found


def _stop(file: Readable, entry: _Entry, data_at: int, directory: int) -> int:
    """Where a member ends: after its data and, if flagged, its data descriptor in either width."""
    stop = data_at + entry.packed
    if not entry.flags & _DESCRIPTOR:
        return stop
    for form in ("<4s3I", "<4sI2Q"):
        width = struct.calcsize(form)
        if stop + width > directory:
            continue
        magic, crc, packed, size = struct.unpack(form, _read(file, stop, width))
        if (magic, crc, packed, size) == (b"PK\x07\x08", entry.crc, entry.packed, entry.size):
            return stop + width
    raise Malformed(stop, "a member's data descriptor is missing or differs from the directory")


def _row(stops: list[tuple[int, int]], directory: int) -> list[Problem]:
    """Gaps and overlaps of the row of members, from byte 0 to the central directory."""
    problems: list[Problem] = []
    at = 0
    for start, stop in [*sorted(stops), (directory, directory)]:
        if start < at:
            problems.append(Problem(code="zip-readers-differ", detail="two members overlap", offset=start))
        elif start > at:
            detail = f"{start - at} bytes belong to no member"
            problems.append(Problem(code="zip-hidden-bytes", detail=detail, offset=at))
        at = max(at, stop)
    return problems
