"""The frozen, strict base of every noun in the corridor, and its digest."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


def canonical_json(value: Any) -> bytes:
    """Serialise a JSON value to one byte sequence: sorted keys, no spaces, UTF-8, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def canonical_digest(value: Any) -> str:
    """``sha256:<hex>`` of a JSON value's one byte sequence."""
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()


def readable_json(value: Any) -> bytes:
    """Serialise a JSON value to one byte sequence that people can read: sorted, indented, ASCII, no NaN."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=True, allow_nan=False)
    return text.encode() + b"\n"


def is_none(value: object) -> bool:
    """For ``exclude_if``: a field that came later is not written where it holds nothing.

    So what was signed before it came keeps its canonical form, and its digest.
    """
    return value is None


class Record(BaseModel):
    """A frozen value: unknown fields are refused, NaN and infinities too."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def from_json(cls, data: bytes | str) -> Self:
        """Validate JSON into the record; raises ``pydantic.ValidationError``."""
        return cls.model_validate_json(data)

    def canonical(self) -> bytes:
        """The record as canonical JSON bytes."""
        return canonical_json(self.model_dump(mode="json"))

    def digest(self) -> str:
        """``sha256:<hex>`` of the canonical JSON."""
        return "sha256:" + hashlib.sha256(self.canonical()).hexdigest()
