"""What a call is given, as a short shape that an allow-list can be held against; values are left out.

A shape is canonical JSON over a closed vocabulary, so that thousands of tensors give one shape:

- ``"none" "bool" "int" "negative" "float" "text" "bytes" "string"`` (Python 2's); the integers of
  :data:`_NUMBERS` and the words of :data:`_WORDS` (as ``"=latin1"``) as they are; ``"number-code"``,
  ``"text-code"`` and ``"date-code"`` for texts that name a plain numeric, fixed-width text or date type of
  numpy;
- ``"ints"`` for a tuple of integers, ``[...]`` for any other short tuple;
- ``"list:plain"``, ``"dict:data"``, ``"set:any"``: containers by what is in them. Plain is numbers, text,
  bytes and containers of them; data may also hold results of calls and storages; types torch's element types
  too, which cannot be called; any may hold imported names;
- ``{...}`` for a small dict whose keys are all known words;
- ``"@module.name"`` for an imported name, ``"->module.name"`` for the result of calling it, ``"tensor"``,
  ``"storage"``, ``"persistent"``, ``"=OrderedDict()"`` and ``"={}"`` for empty ones.
"""

from __future__ import annotations

import json
import re
from typing import TypeAlias

from registry_gate.formats.pickle_values import (
    Call,
    DictValue,
    Global,
    ListValue,
    Literal,
    Persistent,
    SetValue,
    Value,
)

Shape: TypeAlias = "str | int | list[Shape] | dict[str, Shape]"

_NUMBERS = range(-1, 9)
_WORDS = frozenset({"latin1", "latin-1", "b", "C", "F", "<", ">", "|", "=", "_metadata"})
_NUMBER_CODE = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f(?:2|4|8|16)|c(?:8|16|32)|\?)")
_TEXT_CODE = re.compile(r"[<>|=]?[SU][0-9]{1,6}")
_DATE_CODE = re.compile(r"[<>|=]?[mM]8")
_WIDEST = 12
_DEEPEST = 3
_FEW_KEYS = 2
_PLAIN, _DATA, _TYPES, _ANY = 0, 1, 2, 3
_CLASSES = ("plain", "data", "types", "any")
_ELEMENT_TYPES = frozenset(
    f"torch.{name}"
    for name in (
        *("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"),
        *("uint16", "uint32", "uint64", "complex32", "complex64", "complex128"),
    )
)


class Walk:
    """How many more values may be looked at for the shapes of one stream; shared values count each time."""

    def __init__(self, left: int) -> None:
        self.left = left


def shape_text(value: Value, walk: Walk) -> str:
    """The shape of a value (the tuple of a call's arguments, as a rule) as canonical JSON."""
    return json.dumps(shape_of(value, walk), separators=(",", ":"), sort_keys=True)


def shape_of(value: Value, walk: Walk, depth: int = 0) -> Shape:
    """The shape of a value; see the module for its words."""
    walk.left -= 1
    if isinstance(value, tuple):
        return _tuple(value, walk, depth)
    if isinstance(value, ListValue | DictValue | SetValue):
        return _container(value, walk, depth)
    if isinstance(value, Call):
        return _result(value)
    if isinstance(value, Global):
        return f"@{value.path}"
    if isinstance(value, Persistent):
        return "storage" if is_storage(value) else "persistent"
    return _scalar(value)


def _container(value: ListValue | DictValue | SetValue, walk: Walk, depth: int) -> Shape:
    if isinstance(value, DictValue) and _known_keys(value) and depth < _DEEPEST:
        return {str(key): shape_of(item, walk, depth + 1) for key, item in value.pairs}
    if isinstance(value, DictValue) and not value.pairs:
        return "={}"
    kind = {ListValue: "list", DictValue: "dict"}.get(type(value), "set")
    return f"{kind}:{_CLASSES[_content(value, walk)]}"


def _tuple(value: tuple[Value, ...], walk: Walk, depth: int) -> Shape:
    if depth and value != (0,) and all(type(item) is int for item in value):
        return "ints"
    if len(value) > _WIDEST or depth >= _DEEPEST:
        return f"tuple:{_CLASSES[_content(value, walk)]}"
    return [shape_of(item, walk, depth + 1) for item in value]


def _known_keys(value: DictValue) -> bool:
    pairs = value.pairs
    return 0 < len(pairs) <= _FEW_KEYS and all(isinstance(key, str) and key in _WORDS for key, _ in pairs)


def _scalar(value: bool | int | float | str | Literal | None) -> Shape:
    if value is None or isinstance(value, bool):
        return "none" if value is None else "bool"
    if isinstance(value, int):
        return value if value in _NUMBERS else "int" if value > 0 else "negative"
    if isinstance(value, float):
        return "float"
    if isinstance(value, Literal):
        return _word(value.preview.decode("latin-1")) if _is_short_bytes(value) else value.kind
    return _word(value) or "text"


def _is_short_bytes(value: Literal) -> bool:
    return value.kind == "bytes" and value.preview == b"b"


def _word(text: str) -> str:
    if text in _WORDS:
        return f"={text}"
    if _NUMBER_CODE.fullmatch(text):
        return "number-code"
    if _DATE_CODE.fullmatch(text):
        return "date-code"
    return "text-code" if _TEXT_CODE.fullmatch(text) else ""


def _result(value: Call) -> Shape:
    function = value.function
    if function is None:
        return "unknown"
    if function.module == "torch._utils" and function.name.startswith("_rebuild_"):
        return "tensor"
    path = function.path
    if path == "collections.OrderedDict" and value.is_empty:
        return "=OrderedDict()"
    if path == "_codecs.encode" and isinstance(value.arguments, tuple) and len(value.arguments) == 2:
        return "=b" if value.arguments[0] == "b" else "bytes"
    return "bytes" if path in ("builtins.bytes", "__builtin__.bytes") else f"->{path}"


def _content(value: Value, walk: Walk) -> int:
    """The class of everything in a container; a budget that runs out makes it the widest."""
    worst, pending, seen = _PLAIN, [value], set[int]()
    while pending and worst < _ANY:
        item = pending.pop()
        walk.left -= 1
        if walk.left < 0 or (isinstance(item, Global) and item.path not in _ELEMENT_TYPES):
            return _ANY
        if isinstance(item, Global):
            worst = max(worst, _TYPES)
        elif isinstance(item, Call | Persistent):
            worst = max(worst, _of_result(item))
        elif isinstance(item, tuple | ListValue | SetValue | DictValue) and id(item) not in seen:
            seen.add(id(item))
            pending.extend(_children(item))
    return worst


def _of_result(value: Call | Persistent) -> int:
    if isinstance(value, Persistent):
        return _DATA if is_storage(value) else _ANY
    shape = _result(value)
    return _PLAIN if shape == "bytes" else _ANY if shape == "unknown" else _DATA


def _children(value: tuple[Value, ...] | ListValue | SetValue | DictValue) -> list[Value]:
    if isinstance(value, DictValue):
        return [part for pair in value.pairs for part in pair]
    return list(value) if isinstance(value, tuple) else value.items


def is_storage(value: Persistent) -> bool:
    """True for torch's one form of persistent id: a storage by type, key, location and element count.

    Source: torch 2.13 ``torch/serialization.py``, ``persistent_id`` of ``_save`` and ``_legacy_save`` (whose
    sixth part is a view of another storage).
    """
    parts = value.identifier
    if not (isinstance(parts, tuple) and len(parts) in (5, 6) and parts[0] == "storage"):
        return False
    _, kind, key, location, count = parts[:5]
    view = parts[5] if len(parts) == 6 else None
    return (
        isinstance(kind, Global)
        and isinstance(key, str)
        and isinstance(location, str)
        and type(count) is int
        and (view is None or _is_view(view))
    )


def _is_view(view: Value) -> bool:
    return (
        isinstance(view, tuple)
        and len(view) == 3
        and isinstance(view[0], str)
        and all(type(part) is int for part in view[1:])
    )
