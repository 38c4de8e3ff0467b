"""Folding: what a text looks like, once characters that look alike are one character."""

from __future__ import annotations

import re
import unicodedata

from registry_gate.names.confusables import CONFUSABLES

_SEPARATORS = str.maketrans("", "", "-_.")
_LOOKS = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s"})
_RUNS = re.compile(r"[a-z]+|[0-9]+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def to_ascii(text: str) -> str:
    """Return the ASCII text that ``text`` looks like: NFKC, confusable letters replaced, marks dropped.

    Characters that look like no ASCII one, and invisible ones, are dropped.
    """
    replaced = "".join(CONFUSABLES.get(char, char) for char in text)
    compatible = unicodedata.normalize("NFKC", replaced)
    again = "".join(CONFUSABLES.get(char, char) for char in compatible)
    bare = unicodedata.normalize("NFKD", again)
    return "".join(char for char in bare if char.isascii() and char.isprintable())


def squeeze(text: str) -> str:
    """Lower case without separators."""
    return text.lower().translate(_SEPARATORS)


def skeleton(text: str) -> str:
    """Lower case, no separators, and look-alikes one: 0 and o; 1, l, I and i; 5 and s; rn and m; vv and w."""
    return squeeze(text).translate(_LOOKS).replace("rn", "m").replace("vv", "w")


def runs(text: str) -> tuple[str, ...]:
    """The runs of letters and of digits, lower case: ``Qwen2.5-7B`` gives qwen, 2, 5, 7, b."""
    return tuple(_RUNS.findall(text.lower()))


def digits(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The runs of digits among :func:`runs`: sizes and versions."""
    return tuple(part for part in parts if part.isdigit())


def words(text: str) -> frozenset[str]:
    """The runs of at least three letters."""
    return frozenset(part for part in runs(text) if len(part) > 2 and not part.isdigit())


def owner_tokens(owner: str) -> tuple[str, ...]:
    """The words of an owner, lower case, split at separators and inside ``CamelCase``."""
    return tuple(part.lower() for part in _CAMEL.findall(owner))
