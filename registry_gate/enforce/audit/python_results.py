"""What a call may give, as far as that can be told without making it."""

from __future__ import annotations

import ast

from registry_gate.enforce.audit import python_known as known
from registry_gate.enforce.audit.python_scope import Scope
from registry_gate.enforce.audit.python_value import HOLE, UNKNOWN, VERIFIED, Kind, Value, Values
from registry_gate.enforce.audit.python_values import Evaluator

_MAX_RETURNS = 8


def result_of(looking: Evaluator, node: ast.Call, scope: Scope) -> Values:
    """All that a call may give."""
    if isinstance(node.func, ast.Attribute):
        found = _of_method(looking, node, node.func, scope)
        if found is not None:
            return found
    results: list[Value] = []
    for callee in looking.values(node.func, scope):
        results.extend(_of_callee(looking, callee, node, scope))
    return tuple(results) or UNKNOWN


def _of_callee(looking: Evaluator, callee: Value, node: ast.Call, scope: Scope) -> Values:
    if callee.kind is Kind.REF:
        return _of_reference(looking, callee.text, node, scope)
    if callee.kind in (Kind.CLASS, Kind.LOCAL, Kind.VERIFIED, Kind.RESULT):
        return (callee,)
    if callee.kind is Kind.FUNCTION:
        return _returned(looking, callee)
    return UNKNOWN


def _of_reference(looking: Evaluator, dotted: str, node: ast.Call, scope: Scope) -> Values:
    if dotted in known.VERIFYING:
        return VERIFIED
    for names, give in _BY_NAME:
        if dotted in names:
            return give(looking, node, scope)
    if dotted.startswith(known.LOCAL_RESULTS):
        return _local(looking, node.args[0] if node.args else None, scope)
    made = Kind.REF if dotted.rpartition(".")[2][:1].isupper() else Kind.RESULT
    return (Value(made, dotted, node, scope),)


def _first(looking: Evaluator, node: ast.Call, scope: Scope) -> Values:
    return looking.values(node.args[0] if node.args else None, scope)


def _from_environment(looking: Evaluator, node: ast.Call, scope: Scope) -> Values:
    return looking.values(node.args[1], scope) if len(node.args) > 1 else UNKNOWN


def _imported(looking: Evaluator, node: ast.Call, scope: Scope) -> Values:
    texts = looking.texts(node.args[0] if node.args else None, scope)
    return tuple(Value(Kind.REF, text) for text in texts) or UNKNOWN


def _partial(looking: Evaluator, node: ast.Call, scope: Scope) -> Values:
    return tuple(Value(Kind.PARTIAL, item.text, node, scope) for item in _first(looking, node, scope))


def _local(looking: Evaluator, first: ast.expr | None, scope: Scope) -> Values:
    """A path or file; of what was verified it stays verified."""
    values = looking.values(first, scope) if first is not None else UNKNOWN
    if any(value.kind is Kind.VERIFIED for value in values):
        return VERIFIED
    return tuple(
        Value(Kind.LOCAL, value.text if value.kind in (Kind.TEXT, Kind.LOCAL) else "") for value in values
    )


def _joined_path(looking: Evaluator, node: ast.Call, scope: Scope) -> Values:
    found = looking.concatenated(list(node.args), scope, "/")
    if found[0].kind is Kind.VERIFIED:
        return found
    return tuple(Value(Kind.LOCAL, value.text) for value in found)


def _got(looking: Evaluator, node: ast.Call, scope: Scope) -> Values:
    if len(node.args) < 2:
        return UNKNOWN
    base = looking.values(node.args[0], scope)
    names = looking.texts(node.args[1], scope)
    found = tuple(value for name in names for value in looking.attribute(base, name))
    if found:
        return found
    return (
        tuple(Value(Kind.REF, f"{value.text}.{HOLE}") for value in base if value.kind is Kind.REF) or UNKNOWN
    )


def _returned(looking: Evaluator, callee: Value) -> Values:
    """What the ``return`` lines of a function of the tree give."""
    if not isinstance(callee.node, ast.FunctionDef | ast.AsyncFunctionDef) or callee.module is None:
        return UNKNOWN
    inner = callee.module.functions.get(id(callee.node))
    if inner is None:
        return UNKNOWN
    home = looking.other(callee.module)
    return (
        tuple(value for item in inner.returns[:_MAX_RETURNS] for value in home.values(item, inner)) or UNKNOWN
    )


def _of_method(looking: Evaluator, node: ast.Call, func: ast.Attribute, scope: Scope) -> Values | None:
    """Methods of texts, dictionaries and paths; None for any other."""
    base = looking.values(func.value, scope)
    kind = base[0].kind
    if kind is Kind.TEXT:
        return _of_text(looking, node, func.attr, base, scope)
    if kind is Kind.DICT:
        return _of_dictionary(looking, node, func.attr, base, scope)
    if kind is Kind.LOCAL and func.attr in known.PATH_METHODS:
        tail = looking.texts(node.args[0], scope) if func.attr == "joinpath" and node.args else ()
        return tuple(Value(Kind.LOCAL, "/".join((value.text, *tail))) for value in base)
    return None


def _of_text(looking: Evaluator, node: ast.Call, method: str, base: Values, scope: Scope) -> Values | None:
    if method == "format":
        return tuple(Value(Kind.TEXT, _formatted(looking, value.text, node, scope)) for value in base)
    if method == "join" and node.args and isinstance(node.args[0], ast.List | ast.Tuple):
        return looking.concatenated(list(node.args[0].elts), scope, base[0].text)
    if method == "replace" and len(node.args) == 2:
        old, new = (looking.texts(item, scope) for item in node.args)
        if old and new:
            return tuple(Value(Kind.TEXT, value.text.replace(old[0], new[0])[:2000]) for value in base)
    return base if method in known.TEXT_METHODS else None


def _formatted(looking: Evaluator, text: str, node: ast.Call, scope: Scope) -> str:
    for keyword in node.keywords:
        if keyword.arg:
            values = looking.texts(keyword.value, scope)
            text = text.replace("{" + keyword.arg + "}", values[0] if values else HOLE)
    for number, item in enumerate(node.args):
        values = looking.texts(item, scope)
        put = values[0] if values else HOLE
        mark = "{" + str(number) + "}"
        text = text.replace(mark, put) if mark in text else text.replace("{}", put, 1)
    return text[:2000]


def _of_dictionary(
    looking: Evaluator, node: ast.Call, method: str, base: Values, scope: Scope
) -> Values | None:
    found: list[Value] = []
    for value in base:
        if not isinstance(value.node, ast.Dict):
            continue
        inner = value.scope or scope
        if method == "get" and node.args:
            found.extend(looking.entries(value.node, looking.texts(node.args[0], scope), inner))
            found.extend(looking.values(node.args[1], scope) if len(node.args) > 1 else ())
        elif method in ("values", "items"):
            found.append(Value(Kind.SEQUENCE, "", ast.Tuple(elts=list(value.node.values)), inner))
        elif method == "keys":
            found.append(value)
    return tuple(found) or None


_BY_NAME = (
    (known.HANDED_ON | {"builtins.vars"}, _first),
    (known.JOINING, _joined_path),
    (known.ENVIRONMENT, _from_environment),
    (known.IMPORTING, _imported),
    ({"builtins.getattr"}, _got),
    ({"functools.partial"}, _partial),
)
