"""Random safetensors files that are mostly right: a header, then the bytes that it describes, or nearly so.

``choose(n)`` gives an integer below ``n``; a fuzzer's bytes stand behind it.
"""

from __future__ import annotations

import json
from collections.abc import Callable

Choose = Callable[[int], int]

_SIZES = {
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "U8": 1,
    "I64": 8,
    "BOOL": 1,
    "F8_E4M3": 1,
    "C64": 8,
    "F4": 1,
    "Q8": 1,
}
_NAMES = ["w", "a.weight", "__metadata__", "", "\ud800", "x" * 300, "w\n", "é", "model.layers.0.mlp", "w"]
_ODD: list[object] = [None, True, -1, 1.5, 2**62, 2**64, "1", [], {}, [[1]], 10**30]


def one_of(choose: Choose, items: list[object]) -> object:
    """Any of them."""
    return items[choose(len(items))]


def _shape(choose: Choose) -> list[object]:
    shape: list[object] = [choose(5) for _ in range(choose(4))]
    if shape and choose(8) == 0:
        shape[choose(len(shape))] = one_of(choose, _ODD)
    return shape


def _bytes_of(dtype: str, shape: list[object]) -> int:
    total = _SIZES[dtype]
    for item in shape:
        total *= item if type(item) is int and 0 <= item < 1000 else 1
    return total


def _entry(choose: Choose, at: int) -> tuple[dict[str, object], int]:
    dtype = list(_SIZES)[choose(len(_SIZES))]
    shape = _shape(choose)
    begin = at + (choose(5) - 2 if choose(6) == 0 else 0)
    end = begin + _bytes_of(dtype, shape) + (choose(5) - 2 if choose(6) == 0 else 0)
    entry: dict[str, object] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    if choose(10) == 0:
        entry[list(entry)[choose(3)]] = one_of(choose, _ODD)
    if choose(12) == 0:
        entry["more"] = one_of(choose, _ODD)
    if choose(12) == 0:
        entry.pop(list(entry)[choose(len(entry))])
    return entry, max(at, end)


def _metadata(choose: Choose) -> object:
    if choose(4) == 0:
        return one_of(choose, _ODD)
    return {f"k{number}": one_of(choose, [*_ODD, "pt", "pt"]) for number in range(choose(3))}


def file(choose: Choose) -> bytes:
    """A whole file."""
    pairs, at = [], 0
    for number in range(choose(6)):
        entry, at = _entry(choose, at)
        name = f"t{number}" if choose(3) else str(one_of(choose, list(_NAMES)))
        pairs.append((name, entry))
    if choose(3) == 0:
        pairs.insert(choose(len(pairs) + 1), ("__metadata__", _metadata(choose)))
    # written by hand, because a dict could not hold a key twice
    body = ",".join(f"{json.dumps(name)}:{json.dumps(entry)}" for name, entry in pairs)
    header = bytearray(("{" + body + "}").encode() + b" " * choose(9))
    if choose(6) == 0:
        header[choose(len(header))] = choose(256)
    stated = len(header) + (choose(9) - 4 if choose(8) == 0 else 0)
    data = bytes(max(0, min(at, 4096)) + (choose(3) if choose(8) == 0 else 0))
    tail = b"PK\x05\x06" + bytes(18) if choose(16) == 0 else b""
    return max(stated, 0).to_bytes(8, "little") + bytes(header) + data + tail
