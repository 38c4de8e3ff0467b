"""Holding the shape of a call's arguments against the patterns of the allow-list.

Shapes come from the confined reader as canonical JSON; the words of both stand in the allow-list.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from pydantic import JsonValue

from registry_gate.evidence import GlobalUse
from registry_gate.policy import PickleAllowList

_MAX_SHAPE = 4096
_CONSTANTS = frozenset({"none", "bool", "int", "negative", "float", "text", "bytes", "string", "bytearray"})
_TEXTS = frozenset({"number-code", "text-code", "date-code"})
_RESULTS = frozenset({"tensor", "storage", "=OrderedDict()"})
_NARROWER = {"data": ("plain",), "types": ("plain", "data")}
_PLAIN = frozenset({"ints", "={}", "list:plain", "dict:plain", "set:plain", "tuple:plain"})
_DATA = frozenset({"list:data", "dict:data", "set:data", "tuple:data"})


def allowed(use: GlobalUse, listed: PickleAllowList) -> bool:
    """Whether what a pickle does with a listed name is on the list too.

    Args:
        use: its ``use`` is a verb, and behind ``call``, ``new`` and ``build`` a blank and a shape.
        listed: the allow-list; a verb or a shape it says nothing of is not allowed.
    """
    verb, _, text = use.use.partition(" ")
    if verb == "import":
        return True
    if verb in ("items", "append"):
        return use.name in (listed.filled if verb == "items" else listed.extended).get(use.module, ())
    table = {"call": listed.calls, "new": listed.made, "build": listed.states}.get(verb, {})
    patterns = table.get(use.module, {}).get(use.name, ())
    shape = _shape(text)
    return shape is not None and any(fits(shape, pattern) for pattern in patterns)


def _shape(text: str) -> JsonValue:
    if len(text) > _MAX_SHAPE:
        return None
    try:
        shape: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return shape


def fits(shape: JsonValue, pattern: JsonValue) -> bool:
    """True when a shape is one of those a pattern stands for."""
    if isinstance(pattern, list):
        return (
            isinstance(shape, list)
            and len(shape) == len(pattern)
            and all(fits(part, asked) for part, asked in zip(shape, pattern, strict=True))
        )
    if isinstance(pattern, dict):
        return (
            isinstance(shape, dict)
            and shape.keys() == pattern.keys()
            and all(fits(shape[key], asked) for key, asked in pattern.items())
        )
    if isinstance(pattern, str):
        return any(_is(shape, word) for word in _alternatives(pattern))
    return isinstance(pattern, int) and type(shape) is int and shape == pattern


def _alternatives(pattern: str) -> list[str]:
    """Words between bars; ``=|`` is numpy's code for "no byte order", not an end."""
    return [part.replace("\0", "|") for part in pattern.replace("=|", "=\0").split("|")]


def _is(shape: JsonValue, word: str) -> bool:
    if word in ("any", shape):
        return True
    wider = _WIDER.get(word)
    if wider is not None:
        return wider(shape)
    kind, _, content = word.partition(":")
    return shape in [f"{kind}:{narrower}" for narrower in _NARROWER.get(content, ())]


def _is_text(shape: JsonValue) -> bool:
    return isinstance(shape, str) and (shape in _TEXTS or _is_word(shape))


def _is_word(shape: str) -> bool:
    return shape.startswith("=") and shape not in ("=OrderedDict()", "={}")


def _plain(shape: JsonValue) -> bool:
    if isinstance(shape, list):
        return all(_plain(part) for part in shape)
    if isinstance(shape, dict):
        return all(_plain(part) for part in shape.values())
    if isinstance(shape, str):
        return shape in _CONSTANTS | _TEXTS | _PLAIN or _is_word(shape)
    return type(shape) is int


def _data(shape: JsonValue) -> bool:
    if isinstance(shape, list):
        return all(_data(part) for part in shape)
    if isinstance(shape, dict):
        return all(_data(part) for part in shape.values())
    found = isinstance(shape, str) and (shape in _RESULTS | _DATA or shape.startswith("->"))
    return found or _plain(shape)


_WIDER: dict[str, Callable[[JsonValue], bool]] = {
    "plain": _plain,
    "data": _data,
    "int": lambda shape: type(shape) is int or shape == "negative",
    "count": lambda shape: shape == "int" or (type(shape) is int and shape >= 0),
    "ints": lambda shape: shape == [0],
    "bytes": lambda shape: shape == "=b",
    "text": _is_text,
    "dict:plain": lambda shape: shape == "={}" or (isinstance(shape, dict) and _plain(shape)),
    "dict:data": lambda shape: shape in ("={}", "dict:plain") or (isinstance(shape, dict) and _data(shape)),
    "dict:types": lambda shape: shape == "dict:types" or fits(shape, "dict:data"),
}
"""Words that stand for more than themselves."""
