"""Random pickle programs that mostly run: the generator keeps count of stack, marks and memo.

``choose(n)`` gives an integer below ``n``; a seeded generator or a fuzzer's bytes stand behind it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

Choose = Callable[[int], int]

_MODULES = ["os", "collections", "__builtin__", "torch._utils", "a.b.c", "copy_reg", "caf\u00e9", "m"]
_NAMES = ["system", "OrderedDict", "eval", "_rebuild_tensor_v2", "C.d.e", "_reconstructor", "\u2603", "n"]
_TEXTS = ["", "x", "latin1", "os\nsystem", "\u00e9\u2603", "\ud800", "a" * 300, "storage"]


def text(choose: Choose, value: str) -> bytes:
    """A text by any instruction that can hold it."""
    raw = value.encode("utf-8", "surrogatepass")
    ways = [b"X" + struct.pack("<I", len(raw)) + raw, b"\x8d" + struct.pack("<Q", len(raw)) + raw]
    if len(raw) < 256:
        ways.append(b"\x8c" + bytes([len(raw)]) + raw)
    if raw.isascii() and len(raw) < 256 and value.isprintable():
        ways += [b"U" + bytes([len(raw)]) + raw, b"S" + repr(value).encode() + b"\n"]
        ways.append(b"T" + struct.pack("<i", len(raw)) + raw)
    if "\n" not in value and "\\" not in value:
        ways.append(b"V" + value.encode("raw-unicode-escape", "backslashreplace") + b"\n")
    return ways[choose(len(ways))]


def constant(choose: Choose) -> bytes:
    """A constant of any kind."""
    ways = [
        lambda: b"N",
        lambda: b"\x88",
        lambda: b"I01\n",
        lambda: b"K" + bytes([choose(256)]),
        lambda: b"M" + struct.pack("<H", choose(65536)),
        lambda: b"J" + struct.pack("<i", choose(1 << 31) - (1 << 30)),
        lambda: b"I%d\n" % (choose(2000) - 1000),
        lambda: b"L%dL\n" % (choose(2000) - 1000),
        lambda: b"\x8a" + bytes([2]) + bytes([choose(256), choose(256)]),
        lambda: b"\x8b" + struct.pack("<i", 1) + bytes([choose(256)]),
        lambda: b"G" + struct.pack(">d", choose(100) / 7),
        lambda: b"F1.5\n",
        lambda: b"C" + bytes([3]) + b"abc",
        lambda: b"B" + struct.pack("<I", 2) + b"\x80\x04",
        lambda: b"\x8e" + struct.pack("<Q", 1) + b"z",
        lambda: b"\x96" + struct.pack("<Q", 2) + b"yz",
        lambda: b"U\x02\xc3\xa9",
        lambda: b")",
        lambda: b"]",
        lambda: b"}",
        lambda: b"\x8f",
        lambda: text(choose, _TEXTS[choose(len(_TEXTS))]),
    ]
    return ways[choose(len(ways))]()


def name(choose: Choose) -> bytes:
    """An import by GLOBAL or STACK_GLOBAL."""
    module, attribute = _MODULES[choose(len(_MODULES))], _NAMES[choose(len(_NAMES))]
    if choose(2):
        return b"c" + f"{module}\n{attribute}\n".encode()
    return text(choose, module) + _store(choose) + text(choose, attribute) + b"\x93"


def _store(choose: Choose) -> bytes:
    ways = [
        b"",
        b"\x94",
        b"q" + bytes([choose(6)]),
        b"r" + struct.pack("<I", choose(400)),
        b"p%d\n" % choose(6),
    ]
    return ways[choose(len(ways))]


def _recall(choose: Choose) -> bytes:
    return [b"h" + bytes([choose(6)]), b"j" + struct.pack("<I", choose(8)), b"g%d\n" % choose(6)][choose(3)]


_ACTIONS = [b"R", b"b", b"s", b"a", b"\x81", b"\x92", b"\x85", b"\x86", b"\x87", b"0", b"2", b"Q", b"\x97"]
_CALLS = [
    b"\x85R",
    b"\x85\x81",
    b"\x85}\x92",
    b"\x85R}b",
    b"\x85R(NNu",
    b"\x85RNNs",
    b"\x85RNa",
    b"\x85R(NN\x90",
]
_MARKED = [b"t", b"l", b"d", b"e", b"u", b"o", b"1", b"\x90", b"\x91"]


def piece(choose: Choose) -> bytes:
    """A few instructions that belong together, or one at random."""
    kind = choose(12)
    if kind < 4:
        return constant(choose) + _store(choose)
    if kind < 6:
        return name(choose) + _store(choose)
    if kind == 6:
        return name(choose) + constant(choose) + _CALLS[choose(len(_CALLS))] + _store(choose)
    return _marked(choose, kind) if kind < 10 else _single(choose, kind)


def _marked(choose: Choose, kind: int) -> bytes:
    if kind == 7:
        return b"(" + b"".join(piece(choose) for _ in range(choose(4))) + _MARKED[choose(len(_MARKED))]
    if kind == 8:
        return b"(" + name(choose) + constant(choose) + b"o"
    return b"(" + constant(choose) + b"i" + f"{_MODULES[choose(6)]}\n{_NAMES[choose(6)]}\n".encode()


def _single(choose: Choose, kind: int) -> bytes:
    if kind == 10:
        return _recall(choose)
    return [*_ACTIONS, b"\x82\x01", b"Pid\n", b"(", b"\x80" + bytes([choose(6)])][choose(len(_ACTIONS) + 4)]


def stream(choose: Choose, pieces: int = 10) -> bytes:
    """A whole program, framed or not, whose stack is emptied before STOP where that is easy."""
    body = b"".join(piece(choose) for _ in range(choose(pieces) + 1))
    body = body + b"0" * choose(4) + b"." if choose(4) == 0 else b"(" + body + b"t."
    protocol = choose(6)
    head = b"\x80" + bytes([protocol]) if choose(4) else b""
    if protocol >= 4 and choose(2):
        cut = choose(len(body)) + 1 if choose(2) else len(body)
        body = b"\x95" + struct.pack("<Q", cut) + body
    if choose(4) == 0:
        place = choose(len(body))
        body = body[:place] + bytes([choose(256)]) + body[place + 1 :]
    return head + body
