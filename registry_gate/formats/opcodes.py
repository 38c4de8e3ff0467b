"""The pickle instruction set, decoded as CPython's C unpickler does, refusing what readers read differently.

Source: CPython 3.11 ``Modules/_pickle.c`` (``load_*`` functions) and the format as ``pickletools`` documents
it. Nothing is allocated for a stated length: variable-length arguments come back as spans into the stream.
"""

from __future__ import annotations

import mmap
import struct
from enum import Enum

Buffer = bytes | mmap.mmap
Span = tuple[int, int]
"""(offset, length) in the stream."""
Argument = int | float | Span | tuple[Span, Span] | None

_MAX_LINE = 16 * 1024 * 1024


class Malformed(ValueError):
    """A stream that our reader does not follow to the end. ``offset`` is where it stopped, in bytes."""

    def __init__(self, offset: int, detail: str) -> None:
        super().__init__(detail)
        self.offset = offset
        self.detail = detail


class Kind(Enum):
    """What follows an opcode byte: nothing, a fixed number, lines of text, or counted bytes."""

    NONE = ""
    U1 = "<B"
    U2 = "<H"
    I4 = "<i"
    U4 = "<I"
    U8 = "<Q"
    F8 = ">d"
    LINE = "line"
    TWO_LINES = "two lines"
    COUNTED1 = "counted <B"
    COUNTED4 = "counted <I"
    COUNTED4_SIGNED = "counted <i"
    COUNTED8 = "counted <Q"


OPCODES: dict[int, tuple[str, Kind]] = {
    ord("("): ("MARK", Kind.NONE),
    ord("."): ("STOP", Kind.NONE),
    ord("0"): ("POP", Kind.NONE),
    ord("1"): ("POP_MARK", Kind.NONE),
    ord("2"): ("DUP", Kind.NONE),
    ord("F"): ("FLOAT", Kind.LINE),
    ord("I"): ("INT", Kind.LINE),
    ord("J"): ("BININT", Kind.I4),
    ord("K"): ("BININT1", Kind.U1),
    ord("L"): ("LONG", Kind.LINE),
    ord("M"): ("BININT2", Kind.U2),
    ord("N"): ("NONE", Kind.NONE),
    ord("P"): ("PERSID", Kind.LINE),
    ord("Q"): ("BINPERSID", Kind.NONE),
    ord("R"): ("REDUCE", Kind.NONE),
    ord("S"): ("STRING", Kind.LINE),
    ord("T"): ("BINSTRING", Kind.COUNTED4_SIGNED),
    ord("U"): ("SHORT_BINSTRING", Kind.COUNTED1),
    ord("V"): ("UNICODE", Kind.LINE),
    ord("X"): ("BINUNICODE", Kind.COUNTED4),
    ord("a"): ("APPEND", Kind.NONE),
    ord("b"): ("BUILD", Kind.NONE),
    ord("c"): ("GLOBAL", Kind.TWO_LINES),
    ord("d"): ("DICT", Kind.NONE),
    ord("}"): ("EMPTY_DICT", Kind.NONE),
    ord("e"): ("APPENDS", Kind.NONE),
    ord("g"): ("GET", Kind.LINE),
    ord("h"): ("BINGET", Kind.U1),
    ord("i"): ("INST", Kind.TWO_LINES),
    ord("j"): ("LONG_BINGET", Kind.U4),
    ord("l"): ("LIST", Kind.NONE),
    ord("]"): ("EMPTY_LIST", Kind.NONE),
    ord("o"): ("OBJ", Kind.NONE),
    ord("p"): ("PUT", Kind.LINE),
    ord("q"): ("BINPUT", Kind.U1),
    ord("r"): ("LONG_BINPUT", Kind.U4),
    ord("s"): ("SETITEM", Kind.NONE),
    ord("t"): ("TUPLE", Kind.NONE),
    ord(")"): ("EMPTY_TUPLE", Kind.NONE),
    ord("u"): ("SETITEMS", Kind.NONE),
    ord("G"): ("BINFLOAT", Kind.F8),
    ord("B"): ("BINBYTES", Kind.COUNTED4),
    ord("C"): ("SHORT_BINBYTES", Kind.COUNTED1),
    0x80: ("PROTO", Kind.U1),
    0x81: ("NEWOBJ", Kind.NONE),
    0x82: ("EXT1", Kind.U1),
    0x83: ("EXT2", Kind.U2),
    0x84: ("EXT4", Kind.I4),
    0x85: ("TUPLE1", Kind.NONE),
    0x86: ("TUPLE2", Kind.NONE),
    0x87: ("TUPLE3", Kind.NONE),
    0x88: ("NEWTRUE", Kind.NONE),
    0x89: ("NEWFALSE", Kind.NONE),
    0x8A: ("LONG1", Kind.COUNTED1),
    0x8B: ("LONG4", Kind.COUNTED4_SIGNED),
    0x8C: ("SHORT_BINUNICODE", Kind.COUNTED1),
    0x8D: ("BINUNICODE8", Kind.COUNTED8),
    0x8E: ("BINBYTES8", Kind.COUNTED8),
    0x8F: ("EMPTY_SET", Kind.NONE),
    0x90: ("ADDITEMS", Kind.NONE),
    0x91: ("FROZENSET", Kind.NONE),
    0x92: ("NEWOBJ_EX", Kind.NONE),
    0x93: ("STACK_GLOBAL", Kind.NONE),
    0x94: ("MEMOIZE", Kind.NONE),
    0x95: ("FRAME", Kind.U8),
    0x96: ("BYTEARRAY8", Kind.COUNTED8),
    0x97: ("NEXT_BUFFER", Kind.NONE),
    0x98: ("READONLY_BUFFER", Kind.NONE),
}

_FIXED = {kind: struct.Struct(kind.value) for kind in Kind if kind.value[:1] in ("<", ">")}
_COUNTS = {
    kind: struct.Struct(kind.value.removeprefix("counted "))
    for kind in Kind
    if kind.value.startswith("counted ")
}


def read_argument(data: Buffer, kind: Kind, offset: int, end: int) -> tuple[Argument, int]:
    """Read what follows an opcode.

    Args:
        data: the buffer; only ``[offset, end)`` of it is the stream.
        kind: the argument's kind.
        offset: first byte after the opcode.
        end: one past the last byte of the stream.

    Returns:
        The argument and the offset of the next opcode.

    Raises:
        Malformed: the stream ends inside the argument, or a stated length is negative.
    """
    if kind is Kind.NONE:
        return None, offset
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return _unpack(data, fixed, offset, end), offset + fixed.size
    counted = _COUNTS.get(kind)
    if counted is not None:
        return _counted(data, counted, offset, end)
    first, after = _line(data, offset, end)
    if kind is Kind.LINE:
        return first, after
    second, after = _line(data, after, end)
    return (first, second), after


def _unpack(data: Buffer, fixed: struct.Struct, offset: int, end: int) -> int | float:
    if offset + fixed.size > end:
        raise Malformed(offset, "the stream ends inside an argument")
    number: int | float = fixed.unpack(data[offset : offset + fixed.size])[0]
    return number


def _counted(data: Buffer, counted: struct.Struct, offset: int, end: int) -> tuple[Span, int]:
    length = int(_unpack(data, counted, offset, end))
    start = offset + counted.size
    if length < 0:
        raise Malformed(offset, "a literal states a negative length")
    if length > end - start:
        raise Malformed(offset, f"a literal states {length} bytes where {end - start} are left")
    return (start, length), start + length


def _line(data: Buffer, offset: int, end: int) -> tuple[Span, int]:
    stop = data.find(b"\n", offset, min(end, offset + _MAX_LINE))
    if stop < 0:
        raise Malformed(offset, "a text argument has no end")
    return (offset, stop - offset), stop + 1
