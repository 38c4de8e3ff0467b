"""One thing that an expression may be."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from enum import StrEnum

from registry_gate.enforce.audit.python_scope import Module, Scope

HOLE = "{}"
"""Stands in a text for a part that could not be told."""


class Kind(StrEnum):
    """What is known of a value."""

    TEXT = "text"
    REF = "ref"
    RESULT = "result"
    VERIFIED = "verified"
    LOCAL = "local"
    CONST = "const"
    CLASS = "class"
    MODULE = "module"
    DICT = "dict"
    SEQUENCE = "sequence"
    PARTIAL = "partial"
    FUNCTION = "function"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """One thing that an expression may be.

    ``text`` is the text itself, the dotted name of a REF (a class or an instance of it) or of the function
    whose RESULT it is, the path of a LOCAL one. ``node`` and ``scope`` lead back to where it is written.
    """

    kind: Kind
    text: str = ""
    node: ast.AST | None = None
    scope: Scope | None = None
    module: Module | None = None


Values = tuple[Value, ...]
UNKNOWN: Values = (Value(Kind.UNKNOWN),)
VERIFIED: Values = (Value(Kind.VERIFIED),)
