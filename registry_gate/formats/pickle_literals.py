"""Pickle opcodes that push a constant: numbers, text, bytes. What two readers read apart is refused."""

from __future__ import annotations

import re
from collections.abc import Callable

from registry_gate.formats.opcodes import Argument, Buffer, Malformed
from registry_gate.formats.pickle_values import MAX_TEXT, ListValue, Literal, SetValue, Value
from registry_gate.formats.pickle_values import DictValue as Dict

_MAX_INTEGER = 64  # bytes; longer integers are described, never built
_MAX_NUMBER_LINE = 160
_INTEGER = re.compile(rb"-?[0-9]{1,150}")
_FLOAT = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:inf|nan)")
_PREVIEW = 32


def span(argument: Argument) -> tuple[int, int]:
    """The (offset, length) of a one-span argument."""
    if isinstance(argument, tuple) and isinstance(argument[0], int) and isinstance(argument[1], int):
        return argument[0], argument[1]
    raise Malformed(0, "the instruction table and the machine disagree")


def number(argument: Argument) -> int:
    """The integer of a fixed-size argument."""
    if isinstance(argument, int):
        return argument
    raise Malformed(0, "the instruction table and the machine disagree")


def line_integer(data: Buffer, argument: Argument) -> int:
    """The integer of a text argument, in its one canonical spelling.

    C and Python readers differ on blanks, underscores, other bases and NUL bytes; honest writers use none.

    Raises:
        Malformed: any other spelling.
    """
    start, length = span(argument)
    text = data[start : start + min(length, _MAX_NUMBER_LINE)]
    if length > _MAX_NUMBER_LINE or _INTEGER.fullmatch(text) is None:
        raise Malformed(start, f"a number is spelt {text[:40]!r}")
    return int(text)


def described(data: Buffer, kind: str, argument: Argument) -> Literal:
    """A literal described by its place, with a preview."""
    start, length = span(argument)
    return Literal(kind, start, length, data[start : start + min(length, _PREVIEW)])


def _int(data: Buffer, argument: Argument) -> Value:
    start, length = span(argument)
    text = data[start : start + min(length, 3)]
    if length == 2 and text in (b"00", b"01"):
        return text == b"01"
    return line_integer(data, argument)


def _long(data: Buffer, argument: Argument) -> Value:
    start, length = span(argument)
    if length and data[start + length - 1 : start + length] == b"L":
        return line_integer(data, (start, length - 1))
    return line_integer(data, argument)


def _counted_long(data: Buffer, argument: Argument) -> Value:
    start, length = span(argument)
    if length > _MAX_INTEGER:
        return described(data, "int", argument)
    return int.from_bytes(data[start : start + length], "little", signed=True)


def _float(data: Buffer, argument: Argument) -> Value:
    start, length = span(argument)
    text = data[start : start + min(length, _MAX_NUMBER_LINE)]
    if length > _MAX_NUMBER_LINE or _FLOAT.fullmatch(text) is None:
        raise Malformed(start, f"a number is spelt {text[:40]!r}")
    return float(text)


def _binfloat(data: Buffer, argument: Argument) -> Value:
    del data
    return float(argument) if isinstance(argument, int | float) else None


def _text(data: Buffer, argument: Argument) -> Value:
    start, length = span(argument)
    if length > MAX_TEXT:
        return described(data, "text", argument)
    try:
        return data[start : start + length].decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise Malformed(start, "a text is not UTF-8") from None


def _unicode_line(data: Buffer, argument: Argument) -> Value:
    start, length = span(argument)
    if length > MAX_TEXT:
        return described(data, "text", argument)
    try:
        return data[start : start + length].decode("raw-unicode-escape")
    except UnicodeDecodeError:
        raise Malformed(start, "a text has a bad escape") from None


def _byte_text(data: Buffer, argument: Argument) -> Value:
    """A Python 2 string: text or bytes as the loader's encoding says; plain ASCII is the same either way."""
    start, length = span(argument)
    raw = data[start : start + min(length, MAX_TEXT)]
    if length > MAX_TEXT or not raw.isascii():
        return described(data, "string", argument)
    return raw.decode("ascii")


def _string_line(data: Buffer, argument: Argument) -> Value:
    start, length = span(argument)
    quotes = data[start : start + 1] + data[start + length - 1 : start + length]
    if length < 2 or quotes not in (b"''", b'""'):
        raise Malformed(start, "a string is not quoted")
    inner = (start + 1, length - 2)
    if b"\\" in data[start : start + min(length, MAX_TEXT)]:
        return described(data, "string", inner)
    return _byte_text(data, inner)


LITERALS: dict[str, Callable[[Buffer, Argument], Value]] = {
    "NONE": lambda _data, _argument: None,
    "NEWTRUE": lambda _data, _argument: True,
    "NEWFALSE": lambda _data, _argument: False,
    "EMPTY_TUPLE": lambda _data, _argument: (),
    "EMPTY_LIST": lambda _data, _argument: ListValue(),
    "EMPTY_DICT": lambda _data, _argument: Dict(),
    "EMPTY_SET": lambda _data, _argument: SetValue(),
    "BININT": lambda _data, argument: number(argument),
    "BININT1": lambda _data, argument: number(argument),
    "BININT2": lambda _data, argument: number(argument),
    "INT": _int,
    "LONG": _long,
    "LONG1": _counted_long,
    "LONG4": _counted_long,
    "FLOAT": _float,
    "BINFLOAT": _binfloat,
    "STRING": _string_line,
    "BINSTRING": _byte_text,
    "SHORT_BINSTRING": _byte_text,
    "UNICODE": _unicode_line,
    "BINUNICODE": _text,
    "SHORT_BINUNICODE": _text,
    "BINUNICODE8": _text,
    "BINBYTES": lambda data, argument: described(data, "bytes", argument),
    "SHORT_BINBYTES": lambda data, argument: described(data, "bytes", argument),
    "BINBYTES8": lambda data, argument: described(data, "bytes", argument),
    "BYTEARRAY8": lambda data, argument: described(data, "bytearray", argument),
}
"""Opcode name to the value it pushes."""
