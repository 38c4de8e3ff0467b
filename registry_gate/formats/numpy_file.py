"""Read NumPy's files strictly: the header by a parser of literals of its own, the data by its length only.

Source: numpy ``numpy/lib/format.py`` (format versions 1.0 to 3.0). ``numpy.load`` evaluates the header with
``ast.literal_eval`` and hands object arrays to pickle; here the header is parsed and the pickle interpreted.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from registry_gate.evidence import FileFacts, FileFormat
from registry_gate.formats.contents import Contents, keep
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.pickle_program import interpret
from registry_gate.formats.recognised import note
from registry_gate.formats.window import Readable, Window

MAGIC = b"\x93NUMPY"
_LENGTHS = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
_MAX_HEADER = 1024 * 1024
_MAX_NESTING = 8
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\\n]|\\')*'|\"[^\"\\\n]*\")|(?P<number>\d{1,19})L?|(?P<word>True|False)|"
    r"(?P<mark>[()\[\]{},:]))"
)
_DTYPE = re.compile(
    r"[<>|=]?(?:([biufc])([0-9]{1,2})|([SaUV])([0-9]{1,9})|(\?)|([mM])8(?:\[[0-9A-Za-z]{1,12}\])?)"
)
_OBJECT = re.compile(r"\|?O(?:8|4)?")

Literal: TypeAlias = "str | int | bool | list[Literal] | tuple[Literal, ...] | dict[str, Literal]"


class BadHeader(ValueError):
    """A header that is not what numpy writes; the text says how."""


@dataclass(frozen=True)
class Header:
    """An array: its element size in bytes (None where it holds objects), its shape, where its data begins."""

    itemsize: int | None
    shape: tuple[int, ...]
    data_at: int


def read_numpy(path: Path, relative: str, limits: ReaderLimits) -> FileFacts:
    """Describe a ``.npy`` file; an object array's pickle is judged like any other.

    Args:
        path: the file.
        relative: its path inside the candidate.
        limits: bounds of the reader.
    """
    contents = Contents.of(limits)
    size = path.stat().st_size
    with path.open("rb") as file:
        sound = look_into_array(contents, file, size, "")
    return FileFacts(
        path=relative,
        format=FileFormat.NUMPY,
        reader="numpy",
        understood=sound,
        problems=(note("numpy"), *contents.problems)[: limits.max_problems],
        pickles=tuple(contents.pickles),
    )


def look_into_array(contents: Contents, file: BinaryIO | Readable, size: int, place: str) -> bool:
    """Hold an array's header against its data; True for plain data that fills the file exactly."""
    try:
        header = read_header(file, size)
    except BadHeader as fault:
        contents.problem("numpy-malformed", str(fault), place)
        return False
    left = size - header.data_at
    if header.itemsize is not None:
        stated = math.prod(header.shape) * header.itemsize
        if stated != left:
            contents.problem("numpy-malformed", f"its shape states {stated} bytes, {left} are there", place)
        return stated == left
    contents.problem("numpy-objects", "an array of objects: numpy would load it with pickle", place)
    inside = Window(file, header.data_at, left)
    data = inside.read(min(left, max(0, contents.left)))
    if not contents.spend(len(data), place):
        return False
    program = interpret(data, contents.limits, member=place or None)
    keep(contents, program)
    if program.complete and program.end != left:
        contents.problem("pickle-trailing-bytes", f"{left - program.end} bytes follow the pickle", place)
    return False


def read_header(file: BinaryIO | Readable, size: int) -> Header:
    """Parse the header of an array.

    Raises:
        BadHeader: anything that numpy does not write.
    """
    file.seek(0)
    start = file.read(12)
    width = _LENGTHS.get((start[6], start[7])) if len(start) == 12 else None
    if start[:6] != MAGIC or width is None:
        raise BadHeader("neither of the versions 1.0, 2.0 and 3.0")
    length = int.from_bytes(start[8 : 8 + width], "little")
    data_at = 8 + width + length
    if length > _MAX_HEADER or data_at > size:
        raise BadHeader(f"the header states {length} bytes in a file of {size}")
    file.seek(8 + width)
    try:
        text = file.read(length).decode("utf-8" if start[6] == 3 else "latin-1")
    except UnicodeDecodeError:
        raise BadHeader("the header is not UTF-8") from None
    if not text.endswith("\n"):
        raise BadHeader("the header does not end with a line end")
    entries = parse_literal(text.rstrip(" \n"))
    if not isinstance(entries, dict) or set(entries) != {"descr", "fortran_order", "shape"}:
        raise BadHeader("the header does not hold exactly descr, fortran_order and shape")
    shape = entries["shape"]
    if not isinstance(entries["fortran_order"], bool) or not isinstance(shape, tuple) or len(shape) > 64:
        raise BadHeader("fortran_order or shape is of another kind")
    sizes = tuple(item for item in shape if type(item) is int and item < 2**62)
    if len(sizes) != len(shape):
        raise BadHeader("the shape holds something that is no size")
    return Header(_itemsize(entries["descr"], 0), sizes, data_at)


def _itemsize(descr: Literal, depth: int) -> int | None:
    """Bytes of one element, None where it holds objects."""
    if depth > _MAX_NESTING:
        raise BadHeader("the element type is nested too deep")
    if isinstance(descr, str):
        return _simple(descr)
    if isinstance(descr, tuple) and len(descr) == 2:
        shape = descr[1] if isinstance(descr[1], tuple) else (descr[1],)
        return _times(_itemsize(descr[0], depth + 1), shape)
    if not isinstance(descr, list) or not descr:
        raise BadHeader("the element type is of another kind")
    total = 0
    for field in descr:
        if not (isinstance(field, tuple) and len(field) in (2, 3)):
            raise BadHeader("a field of the element type is of another kind")
        size = _itemsize(field[1], depth + 1)
        if len(field) == 3:
            size = _times(size, field[2] if isinstance(field[2], tuple) else (field[2],))
        if size is None:
            return None
        total += size
    return total


def _times(size: int | None, shape: tuple[Literal, ...]) -> int | None:
    counts = [item for item in shape if type(item) is int]
    if len(counts) != len(shape):
        raise BadHeader("a sub-array's shape holds something that is no size")
    return None if size is None else size * math.prod(counts)


def _simple(descr: str) -> int | None:
    if _OBJECT.fullmatch(descr):
        return None
    found = _DTYPE.fullmatch(descr)
    if found is None:
        raise BadHeader(f"the element type {descr[:40]!r} is unknown")
    if found[1]:
        return int(found[2])
    if found[3]:
        return int(found[4]) * (4 if found[3] == "U" else 1)
    return 1 if found[5] else 8


def parse_literal(text: str) -> Literal:
    """Parse a literal of texts, integers, booleans, tuples, lists and dicts; nothing is evaluated.

    Raises:
        BadHeader: anything else.
    """
    value, at = _value(text, 0, 0)
    if text[at:].strip(" "):
        raise BadHeader("something follows the header's literal")
    return value


def _sign(text: str, at: int) -> tuple[str, str, int]:
    found = _TOKEN.match(text, at)
    if found is None or found.lastgroup is None:
        raise BadHeader(f"the header holds {text[at : at + 20]!r}")
    return found.lastgroup, found[found.lastgroup], found.end()


def _value(text: str, at: int, depth: int) -> tuple[Literal, int]:
    if depth > _MAX_NESTING:
        raise BadHeader("the header is nested too deep")
    kind, sign, at = _sign(text, at)
    if kind == "text":
        return sign[1:-1].replace("\\'", "'"), at
    if kind == "number":
        return int(sign), at
    if kind == "word":
        return sign == "True", at
    if sign == "{":
        return _dict(text, at, depth)
    if sign == "[":
        items, at, _ = _items(text, at, "]", depth)
        return items, at
    if sign == "(":
        items, at, commas = _items(text, at, ")", depth)
        return (items[0] if len(items) == 1 and not commas else tuple(items)), at
    raise BadHeader(f"the header holds {sign!r} where a value belongs")


def _items(text: str, at: int, closing: str, depth: int) -> tuple[list[Literal], int, int]:
    items: list[Literal] = []
    commas = 0
    while True:
        kind, sign, after = _sign(text, at)
        if kind == "mark" and sign == closing:
            return items, after, commas
        if len(items) > commas:
            raise BadHeader("a comma is missing in the header")
        value, at = _value(text, at, depth + 1)
        items.append(value)
        kind, sign, after = _sign(text, at)
        if sign == "," and kind == "mark":
            commas, at = commas + 1, after


def _dict(text: str, at: int, depth: int) -> tuple[dict[str, Literal], int]:
    entries: dict[str, Literal] = {}
    while True:
        kind, key, after = _sign(text, at)
        if kind == "mark" and key == "}":
            return entries, after
        if kind != "text" or key[1:-1] in entries:
            raise BadHeader("a key of the header is given twice or is no text")
        kind, sign, at = _sign(text, after)
        if sign != ":" or kind != "mark":
            raise BadHeader("a colon is missing in the header")
        entries[key[1:-1]], at = _value(text, at, depth + 1)
        kind, sign, after = _sign(text, at)
        if kind == "mark" and sign == ",":
            at = after
        elif not (kind == "mark" and sign == "}"):
            raise BadHeader("a comma is missing in the header")
