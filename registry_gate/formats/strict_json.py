"""JSON without the readings that parsers disagree on: duplicate keys, bad UTF-8, endless nesting."""

from __future__ import annotations

import json
from collections import Counter
from typing import TypeAlias

from registry_gate.formats.limits import ReaderLimits

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"


class BadJson(ValueError):
    """A document that is not read; ``reason`` is ``malformed``, ``duplicate-key`` or ``too-deep``."""

    def __init__(self, detail: str, reason: str = "malformed") -> None:
        super().__init__(detail)
        self.reason = reason


def parse_json(data: bytes, limits: ReaderLimits, *, finite: bool = False) -> JsonValue:
    """Parse a UTF-8 JSON document. Texts may still hold lone surrogates, which no record can.

    Args:
        data: the document.
        limits: bound on the number of values.
        finite: refuse NaN and infinities (libraries write them into configurations).

    Raises:
        BadJson: anything that is not one sound document within the bounds.
    """
    try:
        text = data.decode("utf-8")
        _keep_size(data, limits)
        value: JsonValue = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse if finite else None
        )
    except BadJson:
        raise
    except RecursionError:
        raise BadJson("nested too deep", "too-deep") from None
    except ValueError as reason:
        raise BadJson(f"not a JSON document: {str(reason)[:150]}") from None
    return value


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    table = dict(pairs)
    if len(table) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise BadJson(f"the key {twice[:80]!r} is given twice", "duplicate-key")
    return table


def _refuse(constant: str) -> JsonValue:
    raise BadJson(f"{constant} is no JSON number")


def _keep_size(data: bytes, limits: ReaderLimits) -> None:
    """An upper bound of the number of values, from brackets and commas alone, before anything is built."""
    if data.count(b",") + data.count(b"[") + data.count(b"{") > limits.max_json_nodes:
        raise BadJson(f"more than {limits.max_json_nodes} values")
