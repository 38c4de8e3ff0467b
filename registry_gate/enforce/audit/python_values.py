"""What an expression may be: texts, imports, verified folders; told by looking, never by running."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Protocol

from registry_gate.enforce.audit import python_known as known
from registry_gate.enforce.audit.python_scope import Bound, Element, Imported, Module, Parameter, Scope
from registry_gate.enforce.audit.python_value import HOLE, UNKNOWN, VERIFIED, Kind, Value, Values

_MAX_DEPTH = 14
_MAX_STEPS = 600
_MAX_VALUES = 16
_MAX_TEXT = 2000


class Modules(Protocol):
    """Finds the modules of the audited tree."""

    def find(self, dotted: str, level: int, importer: str) -> tuple[Module, str] | None:
        """The module a dotted name is in, and the rest of the name; None if it is in none."""


class Evaluator:
    """Looks at the expressions of one module."""

    def __init__(self, module: Module, modules: Modules) -> None:
        self.module = module
        self._modules = modules
        self._busy: set[tuple[int, int]] = set()
        self._memory: dict[tuple[int, int], Values] = {}
        self._depth = 0
        self._steps = 0
        self._cuts = 0

    def values(self, node: ast.AST | None, scope: Scope) -> Values:
        """All that an expression may be; never empty."""
        if node is None:
            return UNKNOWN
        key = (id(node), id(scope))
        if key in self._memory:
            return self._memory[key]
        self._steps = self._steps + 1 if self._depth else 0
        if key in self._busy or self._depth > _MAX_DEPTH or self._steps > _MAX_STEPS:
            self._cuts += 1
            return UNKNOWN
        self._busy.add(key)
        self._depth += 1
        cuts = self._cuts
        try:
            reader = _READERS.get(type(node))
            found = _few(reader(self, node, scope)) if reader else UNKNOWN
        finally:
            self._depth -= 1
            self._busy.discard(key)
        if self._depth == 0 or cuts == self._cuts:
            self._memory[key] = found  # what a cut made shorter is looked at anew when asked for by itself
        return found

    def texts(self, node: ast.AST | None, scope: Scope) -> tuple[str, ...]:
        """The texts that an expression may be."""
        return tuple(value.text for value in self.values(node, scope) if value.kind is Kind.TEXT)

    def name(self, name: str, scope: Scope) -> Values:
        """What a name may stand for, looked for outwards from a scope; a class's names only from itself."""
        looked: Scope | None = scope
        while looked is not None:
            bound = looked.names.get(name)
            if bound and (looked is scope or not isinstance(looked.node, ast.ClassDef)):
                return _few(tuple(value for one in bound for value in self.bound(one, name, looked)))
            looked = looked.parent
        for star in self.module.scope.stars:
            if star:
                return (Value(Kind.REF, f"{star}.{name}"),)
        return (Value(Kind.REF, f"builtins.{name}"),)

    def bound(self, bound: Bound, name: str, scope: Scope) -> Values:
        """What one binding makes of a name."""
        if isinstance(bound, Imported):
            return self._imported(bound)
        if isinstance(bound, Element):
            return self._elements(bound.of, scope)
        if isinstance(bound, Parameter):
            return self._parameter(bound, name, scope)
        if isinstance(bound, ast.ClassDef):
            return (Value(Kind.CLASS, bound.name, bound, self.module.classes.get(bound.name), self.module),)
        if isinstance(bound, ast.FunctionDef | ast.AsyncFunctionDef):
            return (Value(Kind.FUNCTION, bound.name, bound, scope, self.module),)
        return self.values(bound, scope)

    def _imported(self, bound: Imported) -> Values:
        found = self._modules.find(bound.dotted, bound.level, self.module.path)
        if found is None:
            return (Value(Kind.REF, "." * bound.level + bound.dotted),)
        module, rest = found
        if self._depth > _MAX_DEPTH:  # modules that import a name from each other
            self._cuts += 1
            return UNKNOWN
        value: Values = (Value(Kind.MODULE, module.path, module=module),)
        self._depth += 1
        for part in rest.split(".") if rest else ():
            value = self.attribute(value, part)
        self._depth -= 1
        return value

    def _elements(self, node: ast.expr, scope: Scope) -> Values:
        found: list[Value] = []
        for value in self.values(node, scope):
            inner = value.scope or scope
            if value.kind is Kind.SEQUENCE and isinstance(value.node, ast.List | ast.Tuple | ast.Set):
                for item in value.node.elts[:_MAX_VALUES]:
                    found.extend(self.values(item, inner))
            elif value.kind is Kind.DICT and isinstance(value.node, ast.Dict):
                for key in value.node.keys[:_MAX_VALUES]:
                    found.extend(self.values(key, inner))
            else:
                found.append(value if value.kind is not Kind.TEXT else Value(Kind.UNKNOWN))
        return tuple(found) or UNKNOWN

    def _parameter(self, bound: Parameter, name: str, scope: Scope) -> Values:
        owner = scope.enclosing_class()
        if name in ("self", "cls") and owner is not None:
            return (Value(Kind.CLASS, owner.label, owner.node, owner, self.module),)
        if bound.default is not None:
            found = self.values(bound.default, scope.parent or scope)
            if not all(value.kind is Kind.CONST and value.text == "None" for value in found):
                return found
        if name in known.LOCAL_FIXTURES:
            return (Value(Kind.LOCAL),)
        if bound.annotation is not None:
            return self._annotated(bound.annotation, scope.parent or scope)
        return UNKNOWN

    def _annotated(self, annotation: ast.expr, scope: Scope) -> Values:
        """An instance of the annotated class, where that is one of the tree's own."""
        named = annotation.value if isinstance(annotation, ast.Constant) else None
        found = self.name(named, scope) if isinstance(named, str) else self.values(annotation, scope)
        return tuple(value for value in found if value.kind is Kind.CLASS) or UNKNOWN

    def attribute(self, base: Values, name: str) -> Values:
        """What ``base.name`` may be."""
        found: list[Value] = []
        for value in base:
            found.extend(self._attribute(value, name))
        return _few(tuple(found))

    def _attribute(self, value: Value, name: str) -> Values:
        if value.kind is Kind.REF:
            return (Value(Kind.REF, f"{value.text}.{name}"),)
        if value.kind is Kind.MODULE and value.module is not None:
            return (
                self._other(value.module).name(name, value.module.scope)
                if _has(value.module, name)
                else UNKNOWN
            )
        if value.kind is Kind.CLASS and value.scope is not None:
            return self._of_class(value, name)
        if value.kind in (Kind.VERIFIED, Kind.LOCAL, Kind.RESULT):
            return (value,)
        return self._anywhere(name)

    def _other(self, module: Module) -> Evaluator:
        if module is self.module:
            return self
        other = Evaluator(module, self._modules)
        other._depth, other._steps, other._busy = self._depth, self._steps, self._busy
        return other

    def _of_class(self, value: Value, name: str) -> Values:
        scope, node = value.scope, value.node
        if scope is None or not isinstance(node, ast.ClassDef):
            return UNKNOWN
        home = self._other(value.module) if value.module else self
        for key in (name, f".{name}"):
            if key in scope.names:
                return tuple(item for one in scope.names[key] for item in home.bound(one, name, scope))
        found: list[Value] = []
        for base in node.bases:
            if self._depth < _MAX_DEPTH:
                home._depth += 1
                found.extend(home.attribute(home.values(base, scope.parent or scope), name))
                home._depth -= 1
        kept = tuple(item for item in found if item.kind is not Kind.UNKNOWN)
        return kept or home._anywhere(name)

    def _anywhere(self, name: str) -> Values:
        """An attribute of something unknown: an argument of the command line or a field, if only one fits."""
        if name in self.module.arguments:
            defaults = self.module.arguments[name]
            return tuple(value for item in defaults for value in self.values(item, self.module.scope))
        owners = [
            scope
            for scope in self.module.classes.values()
            if name in scope.names or f".{name}" in scope.names
        ]
        if len(owners) != 1 or self._depth > _MAX_DEPTH:
            return UNKNOWN
        scope = owners[0]
        bound = scope.names.get(name) or scope.names[f".{name}"]
        found = tuple(value for one in bound for value in self.bound(one, name, scope))
        return tuple(value for value in found if value.kind is Kind.TEXT) or UNKNOWN

    def _constant(self, node: ast.Constant, scope: Scope) -> Values:
        if isinstance(node.value, str):
            return (Value(Kind.TEXT, node.value[:_MAX_TEXT]),)
        return (Value(Kind.CONST, repr(node.value)[:100]),)

    def _name(self, node: ast.Name, scope: Scope) -> Values:
        return self.name(node.id, scope)

    def _attribute_node(self, node: ast.Attribute, scope: Scope) -> Values:
        base = self.values(node.value, scope)
        if node.attr == "__dict__":
            return base
        return self.attribute(base, node.attr)

    def _joined(self, node: ast.JoinedStr, scope: Scope) -> Values:
        pieces = [item.value if isinstance(item, ast.FormattedValue) else item for item in node.values]
        return self._concatenated(pieces, scope)

    def _concatenated(self, pieces: list[ast.expr], scope: Scope, between: str = "") -> Values:
        texts = [""]
        for number, piece in enumerate(pieces):
            values = self.values(piece, scope)
            if any(value.kind is Kind.VERIFIED for value in values):
                return VERIFIED
            if number == 0 and values[0].kind is Kind.LOCAL:
                return (values[0],)
            more = [_as_text(value) for value in values][:_MAX_VALUES]
            joint = between if number else ""
            texts = [(text + joint + item)[:_MAX_TEXT] for text in texts for item in more][:_MAX_VALUES]
        if all(text == HOLE for text in texts):
            return UNKNOWN
        return tuple(Value(Kind.TEXT, text) for text in texts)

    def _operated(self, node: ast.BinOp, scope: Scope) -> Values:
        if isinstance(node.op, ast.Add):
            left, right = self.values(node.left, scope), self.values(node.right, scope)
            if Kind.SEQUENCE in (left[0].kind, right[0].kind):
                return left + right
            return self._concatenated([node.left, node.right], scope)
        if isinstance(node.op, ast.Div):
            base = self.values(node.left, scope)
            kept = Kind.VERIFIED if any(value.kind is Kind.VERIFIED for value in base) else Kind.LOCAL
            tail = self.texts(node.right, scope)
            return (Value(kept, f"{base[0].text}/{tail[0] if tail else HOLE}"),)
        if isinstance(node.op, ast.Mod):
            return self._percent(node, scope)
        return UNKNOWN

    def _percent(self, node: ast.BinOp, scope: Scope) -> Values:
        given = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
        return (
            tuple(
                Value(Kind.TEXT, self._filled(text, "%s", given, scope))
                for text in self.texts(node.left, scope)
            )
            or UNKNOWN
        )

    def _filled(self, text: str, mark: str, given: list[ast.expr], scope: Scope) -> str:
        for item in given:
            text = text.replace(mark, _as_text(self.values(item, scope)[0]), 1)
        return text[:_MAX_TEXT]

    def _either(self, node: ast.BoolOp, scope: Scope) -> Values:
        return self._union(node.values, scope)

    def _chosen(self, node: ast.IfExp, scope: Scope) -> Values:
        return self._union([node.body, node.orelse], scope)

    def _union(self, nodes: list[ast.expr], scope: Scope) -> Values:
        found = tuple(value for node in nodes for value in self.values(node, scope))
        told = tuple(value for value in found if value.kind not in (Kind.UNKNOWN, Kind.CONST))
        return told or found

    def _dictionary(self, node: ast.Dict, scope: Scope) -> Values:
        return (Value(Kind.DICT, "", node, scope),)

    def _sequence(self, node: ast.List | ast.Tuple | ast.Set, scope: Scope) -> Values:
        return (Value(Kind.SEQUENCE, "", node, scope),)

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Values:
        keys = self.texts(node.slice, scope)
        found: list[Value] = []
        for value in self.values(node.value, scope):
            found.extend(self._item(value, keys, scope))
        return tuple(found) or UNKNOWN

    def _item(self, value: Value, keys: tuple[str, ...], scope: Scope) -> Values:
        inner = value.scope or scope
        if value.kind is Kind.DICT and isinstance(value.node, ast.Dict):
            return self._entries(value.node, keys, inner)
        if value.kind is Kind.SEQUENCE and value.node is not None:
            return self._elements(value.node, inner)  # type: ignore[arg-type]
        if value.kind is Kind.REF and keys and value.text == "sys.modules":
            return (Value(Kind.REF, keys[0]),)
        if value.kind is Kind.REF and keys and not value.text.startswith("os.environ"):
            return (Value(Kind.REF, f"{value.text}.{keys[0]}"),)
        return (value,) if value.kind in (Kind.VERIFIED, Kind.RESULT) else UNKNOWN

    def _entries(self, node: ast.Dict, keys: tuple[str, ...], scope: Scope) -> Values:
        exact = [
            value
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant) and key.value in keys
        ]
        return (
            tuple(
                item for value in (exact or node.values)[:_MAX_VALUES] for item in self.values(value, scope)
            )
            or UNKNOWN
        )

    def _awaited(self, node: ast.Await | ast.NamedExpr | ast.Starred, scope: Scope) -> Values:
        return self.values(node.value, scope)

    def _call(self, node: ast.Call, scope: Scope) -> Values:
        from registry_gate.enforce.audit.python_results import result_of

        return result_of(self, node, scope)

    concatenated = _concatenated
    elements = _elements
    filled = _filled
    entries = _entries
    other = _other


def _has(module: Module, name: str) -> bool:
    return name in module.scope.names or any(module.scope.stars)


def _few(values: Values) -> Values:
    return values[:_MAX_VALUES] or UNKNOWN


def _as_text(value: Value) -> str:
    if value.kind is Kind.TEXT or (value.kind is Kind.LOCAL and value.text):
        return value.text
    return value.text if value.kind is Kind.CONST and value.text != "None" else HOLE


_READERS: dict[type[ast.AST], Callable[..., Values]] = {
    ast.Constant: Evaluator._constant,
    ast.Name: Evaluator._name,
    ast.Attribute: Evaluator._attribute_node,
    ast.JoinedStr: Evaluator._joined,
    ast.BinOp: Evaluator._operated,
    ast.BoolOp: Evaluator._either,
    ast.IfExp: Evaluator._chosen,
    ast.Dict: Evaluator._dictionary,
    ast.List: Evaluator._sequence,
    ast.Tuple: Evaluator._sequence,
    ast.Set: Evaluator._sequence,
    ast.Subscript: Evaluator._subscript,
    ast.Await: Evaluator._awaited,
    ast.NamedExpr: Evaluator._awaited,
    ast.Starred: Evaluator._awaited,
    ast.Call: Evaluator._call,
}
