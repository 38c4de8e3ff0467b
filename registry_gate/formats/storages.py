"""Storages as torch's pickles name them: persistent ids ``("storage", type, key, location, numel, view)``.

Source: torch 2.13 ``torch/serialization.py`` (``_save``, ``_legacy_save`` and their loaders).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry_gate.formats.dtypes import BITS, TORCH_STORAGES
from registry_gate.formats.pickle_values import (
    Call,
    DictValue,
    Global,
    ListValue,
    Persistent,
    SetValue,
    Value,
    render,
)

UNTYPED = "untyped"
_WIDTH_ONLY = {
    "ComplexDoubleStorage": 16,
    "QInt8Storage": 1,
    "QInt32Storage": 4,
    "QUInt8Storage": 1,
    "QUInt4x2Storage": 1,
    "QUInt2x4Storage": 1,
}
"""Bytes an element of storages that safetensors has no name for."""


class NotPlain(ValueError):
    """A tensor that is no sound, plain view of stored bytes; the text says why."""


class NotConvertible(NotPlain):
    """A sound tensor of a kind that no safetensors file can hold; the text says which."""


@dataclass(frozen=True)
class Storage:
    """One storage as a pickle names it.

    ``kind`` is torch's class name, or ``untyped`` for bytes; ``numel`` counts its elements. ``view`` is the
    (offset, length) in elements of the part meant, which only files of torch before 0.4 state.
    """

    key: str
    kind: str
    numel: int
    view: tuple[int, int] | None = None

    @property
    def dtype(self) -> str | None:
        """Safetensors' name of the element type; None where there is none."""
        return TORCH_STORAGES.get(self.kind)

    @property
    def itemsize(self) -> int | None:
        """Bytes of one element; None for a class that torch does not have."""
        if self.kind == UNTYPED:
            return 1
        return BITS[self.dtype] // 8 if self.dtype else _WIDTH_ONLY.get(self.kind)


def storage_of(value: Value) -> Storage:
    """The storage that a persistent id names.

    Raises:
        NotPlain: the value is no such id.
    """
    identifier = value.identifier if isinstance(value, Persistent) else None
    if not (isinstance(identifier, tuple) and len(identifier) in (5, 6) and identifier[0] == "storage"):
        raise NotPlain(f"its storage is {render(value)}")
    _, kind, key, _, numel = identifier[:5]
    if not (isinstance(kind, Global) and isinstance(key, str) and type(numel) is int and numel >= 0):
        raise NotPlain(f"its storage is {render(value)}")
    view = _view(identifier[5]) if len(identifier) == 6 else None
    if kind.path in ("torch.storage.UntypedStorage", "torch.UntypedStorage"):
        return Storage(key, UNTYPED, numel, view)
    storage = Storage(key, kind.name if kind.module == "torch" else "", numel, view)
    if storage.itemsize is None:
        raise NotPlain(f"storage {render(kind)} is none that torch has")
    return storage


def _view(value: Value) -> tuple[int, int] | None:
    if value is None:
        return None
    if isinstance(value, tuple) and len(value) == 3:
        offset, length = value[1], value[2]
        if type(offset) is int and type(length) is int and offset >= 0 and length >= 0:
            return offset, length
    raise NotPlain(f"its storage is a view stated as {render(value)}")


def persistent_ids(result: Value) -> Iterator[Persistent]:
    """Every persistent id in an object, however deep, each object visited once."""
    seen: set[int] = set()
    waiting = [result]
    while waiting:
        value = waiting.pop()
        if isinstance(value, tuple) and not value:
            continue
        if not isinstance(value, tuple | ListValue | DictValue | SetValue | Call | Persistent):
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Persistent):
            yield value
        waiting += _inside(value)


def _inside(value: Value) -> list[Value]:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, ListValue | SetValue):
        return value.items
    if isinstance(value, DictValue):
        return [item for pair in value.pairs for item in pair]
    if isinstance(value, Call):
        pairs = [item for pair in value.pairs for item in pair]
        return [value.arguments, *pairs, *value.items, *value.states]
    return [value.identifier] if isinstance(value, Persistent) else []
