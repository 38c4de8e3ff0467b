"""What the symbolic pickle machine puts on its stack: descriptions of objects, never the objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from registry_gate.formats.shown import shorten

MAX_TEXT = 4096
"""Strings longer than this many bytes are described, not kept."""
_MAX_RENDERED = 160
_MAX_ITEMS = 6
_MAX_DEPTH = 4


@dataclass(slots=True, eq=False)
class Global:
    """An imported (module, name); the name may be dotted, as protocol 4 allows."""

    module: str
    name: str

    @property
    def path(self) -> str:
        """``module.name``."""
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Literal:
    """Bytes or text that is described and not held: kind, length and offset in bytes, a short preview."""

    kind: str
    offset: int
    length: int
    preview: bytes = b""


@dataclass(slots=True, eq=False)
class Call:
    """The unknown result of calling ``function`` (None when it was no plain import) with ``arguments``.

    ``number`` names it in the program; ``pairs``, ``items`` and ``states`` are what SETITEM(S), APPEND(S) or
    ADDITEMS, and BUILD did to it afterwards. A ``sealed`` one was handed to a call for being empty.
    """

    function: Global | None
    arguments: Value
    number: int
    pairs: list[tuple[Value, Value]] = field(default_factory=list)
    items: list[Value] = field(default_factory=list)
    states: list[Value] = field(default_factory=list)
    sealed: bool = False

    @property
    def is_empty(self) -> bool:
        """True for a call without arguments whose result nothing was put into yet."""
        return not (self.arguments or self.pairs or self.items or self.states)


@dataclass(slots=True, eq=False)
class Persistent:
    """What the loader's ``persistent_load`` would return for an identifier."""

    identifier: Value


@dataclass(slots=True, eq=False)
class ListValue:
    """A list literal."""

    items: list[Value] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class DictValue:
    """A dict literal: its pairs in the order they were set, duplicates kept. ``sealed`` as in a Call."""

    pairs: list[tuple[Value, Value]] = field(default_factory=list)
    sealed: bool = False


@dataclass(slots=True, eq=False)
class SetValue:
    """A set or frozenset literal."""

    items: list[Value] = field(default_factory=list)
    frozen: bool = False


Value: TypeAlias = (
    "bool | int | float | str | tuple[Value, ...] | Global | Literal | Call | Persistent | "
    "ListValue | DictValue | SetValue | None"
)


def render(value: Value, depth: int = 0) -> str:
    """One short printable line for a value: escaped by ``repr``, bounded in depth, width and length."""
    if isinstance(value, tuple | ListValue | DictValue | SetValue):
        return shorten(_render_container(value, depth), _MAX_RENDERED)
    if isinstance(value, Persistent):
        inner = render(value.identifier, depth + 1) if depth < _MAX_DEPTH else "…"
        return shorten(f"persistent({inner})", _MAX_RENDERED)
    return shorten(_render_scalar(value), _MAX_RENDERED)


def _render_scalar(value: bool | int | float | str | Global | Literal | Call | None) -> str:
    if isinstance(value, Global):
        return repr(value.path)[1:-1]
    if isinstance(value, Literal):
        return f"<{value.kind} of {value.length} bytes at {value.offset}: {value.preview[:16]!r}>"
    if isinstance(value, Call):
        return f"v{value.number}"
    return repr(value[:_MAX_RENDERED]) if isinstance(value, str) else repr(value)


def _render_container(value: tuple[Value, ...] | ListValue | DictValue | SetValue, depth: int) -> str:
    brackets: dict[type, tuple[str, str]] = {tuple: ("(", ")"), ListValue: ("[", "]")}
    opening, closing = brackets.get(type(value), ("{", "}"))
    count = len(value.pairs) if isinstance(value, DictValue) else len(_items(value))
    if depth >= _MAX_DEPTH:
        return f"{opening}… {count} items{closing}"
    if isinstance(value, DictValue):
        pairs = value.pairs[:_MAX_ITEMS]
        shown = [f"{render(key, depth + 1)}: {render(item, depth + 1)}" for key, item in pairs]
    else:
        shown = [render(item, depth + 1) for item in _items(value)[:_MAX_ITEMS]]
    if count > _MAX_ITEMS:
        shown.append(f"… {count} items")
    return f"{opening}{', '.join(shown)}{closing}"


def _items(value: tuple[Value, ...] | ListValue | DictValue | SetValue) -> list[Value] | tuple[Value, ...]:
    if isinstance(value, tuple):
        return value
    return [] if isinstance(value, DictValue) else value.items
