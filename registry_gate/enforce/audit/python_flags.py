"""Switches of a call: remote code, the safe format, the revision, pretrained weights."""

from __future__ import annotations

import ast

from registry_gate.enforce.audit.loaders import Loader
from registry_gate.enforce.audit.python_scope import Module, Scope
from registry_gate.enforce.audit.python_value import HOLE, Kind, Values
from registry_gate.enforce.audit.python_values import Evaluator
from registry_gate.enforce.audit.sighting import Seen, Sighting

_SWITCHES = {
    "trust_remote_code": ("True", "remote-code", "trust_remote_code=True"),
    "trust_repo": ("True", "remote-code", "trust_repo=True"),
    "use_safetensors": ("False", "unsafe-format", "use_safetensors=False"),
    "allow_dangerous_deserialization": ("True", "unverified-pickle", "allow_dangerous_deserialization=True"),
    "enable_unsafe_deserialization": ("True", "unverified-pickle", "unsafe deserialization"),
}


def switches(looking: Evaluator, node: ast.Call, scope: Scope) -> Seen:
    """What the keywords of a call switch on or off, whatever is called."""
    found = []
    for keyword in node.keywords:
        if keyword.arg in _SWITCHES:
            found += _switched(keyword.arg, looking.values(keyword.value, scope), node.lineno)
        elif keyword.arg is None:
            found += _spread(looking, looking.values(keyword.value, scope), node, scope)
    return Seen(tuple(found))


def _switched(name: str, values: Values, line: int) -> list[Sighting]:
    bad, rule, subject = _SWITCHES[name]
    met = any(value.kind is Kind.CONST and value.text == bad for value in values)
    return [Sighting(rule, line, subject)] if met else []


def _spread(looking: Evaluator, values: Values, node: ast.Call, scope: Scope) -> list[Sighting]:
    """``**options``: the dictionary's entries count as keywords."""
    found: list[Sighting] = []
    for value in values:
        if value.kind is Kind.DICT and isinstance(value.node, ast.Dict):
            for key, item in zip(value.node.keys, value.node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in _SWITCHES:
                    found += _switched(
                        str(key.value), looking.values(item, value.scope or scope), node.lineno
                    )
    return found


def assigned_switches(looking: Evaluator, module: Module) -> Seen:
    """Switches set by assignment, default or dictionary entry, to be handed on later."""
    found: list[Sighting] = []
    for name, value, scope in module.assigned:
        if name in _SWITCHES and isinstance(value, ast.Constant):
            found += _switched(name, looking.values(value, scope), value.lineno)
    return Seen(tuple(found))


def revision_of(looking: Evaluator, node: ast.Call, scope: Scope) -> str | None:
    """The revision a call asks for; ``{}`` where one is given that could not be told, None where none is."""
    for keyword in node.keywords:
        if keyword.arg in ("revision", "code_revision", "commit_hash"):
            texts = looking.texts(keyword.value, scope)
            return texts[0] if texts else HOLE
    return None


def pretrained_asked(looking: Evaluator, loader: Loader, node: ast.Call, scope: Scope) -> bool:
    """Whether a constructor is told to fetch weights; ``loader.default`` is what silence means."""
    given = next((item.value for item in node.keywords if item.arg in (loader.flag, *loader.names[:2])
                  and item.arg in ("weights", "pretrained", loader.flag)), None)  # fmt: skip
    if given is None:
        given = _by_place(loader, node)
    if given is None:
        return loader.default
    values = looking.values(given, scope)
    if any(value.kind is Kind.CONST for value in values):
        return any(value.text == "True" for value in values)
    return any(_fetches(value.kind, value.text) for value in values)


def _by_place(loader: Loader, node: ast.Call) -> ast.expr | None:
    if loader.flag == "pretrained" and len(node.args) > 1:
        return node.args[1]
    return None


def _fetches(kind: Kind, text: str) -> bool:
    if kind is Kind.TEXT:
        return (
            bool(text)
            and not text.startswith(("/", ".", "~"))
            and not text.endswith((".h5", ".pt", ".bin", ".pth", ".weights.h5"))
        )
    return kind in (Kind.REF, Kind.UNKNOWN)
