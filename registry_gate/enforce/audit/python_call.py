"""A call under judgement, and how to find its arguments."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from registry_gate.enforce.audit.loaders import Loader
from registry_gate.enforce.audit.model_loads import Argument
from registry_gate.enforce.audit.python_scope import Scope
from registry_gate.enforce.audit.python_values import Evaluator


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a known loader: who looks at it, what it loads with, and where it stands."""

    looking: Evaluator
    loader: Loader
    asked: Argument
    node: ast.Call
    scope: Scope


def argument(node: ast.Call, position: int, names: tuple[str, ...]) -> ast.expr | None:
    """The argument with one of these keywords, or at this place; None where the call has none."""
    for keyword in node.keywords:
        if keyword.arg in names:
            return keyword.value
    plain = [item for item in node.args if not isinstance(item, ast.Starred)]
    return plain[position] if 0 <= position < len(plain) else None
