"""One walk over a module: which names are bound to what in which scope, and every call with its scope.

Order of statements is not followed: a name may have been bound to any of the things it is bound to anywhere.
That errs on the side of seeing a load.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_BINDINGS = 24


@dataclass(frozen=True, slots=True)
class Imported:
    """A name bound by an import. ``level`` counts the dots of a relative one."""

    dotted: str
    level: int = 0


@dataclass(frozen=True, slots=True)
class Element:
    """A name bound to the elements of something: a loop's variable."""

    of: ast.expr


@dataclass(frozen=True, slots=True)
class Parameter:
    """A function's parameter, with its default and annotation."""

    default: ast.expr | None
    annotation: ast.expr | None


Bound = Imported | Element | Parameter | ast.expr | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(slots=True)
class Scope:
    """The names of a module, class or function."""

    parent: Scope | None
    node: ast.AST
    names: dict[str, list[Bound]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    returns: list[ast.expr] = field(default_factory=list)

    def bind(self, name: str, value: Bound) -> None:
        """Remember one more thing that a name may stand for."""
        found = self.names.setdefault(name, [])
        if len(found) < MAX_BINDINGS:
            found.append(value)

    def enclosing_class(self) -> Scope | None:
        """The nearest class around this scope, for ``self.name``."""
        scope: Scope | None = self
        while scope is not None and not isinstance(scope.node, ast.ClassDef):
            scope = scope.parent
        return scope

    @property
    def label(self) -> str:
        """The name of the function or class, empty for a module."""
        return getattr(self.node, "name", "")


@dataclass(slots=True)
class Module:
    """A parsed module: its scopes, its calls, and what it sets by keyword or key."""

    path: str
    scope: Scope
    calls: list[tuple[ast.Call, Scope]] = field(default_factory=list)
    classes: dict[str, Scope] = field(default_factory=dict)
    functions: dict[int, Scope] = field(default_factory=dict)
    assigned: list[tuple[str, ast.expr, Scope]] = field(default_factory=list)
    subscripts: list[tuple[ast.Subscript, ast.expr, Scope]] = field(default_factory=list)
    strings: list[ast.Constant] = field(default_factory=list)
    arguments: dict[str, list[ast.expr]] = field(default_factory=dict)


def read_module(path: str, tree: ast.Module) -> Module:
    """Walk a parsed module once. Iterative, so that no nesting is too deep for it."""
    module = Module(path, Scope(None, tree))
    stack: list[tuple[ast.AST, Scope]] = [(tree, module.scope)]
    while stack:
        node, scope = stack.pop()
        reader = _READERS.get(type(node))
        inner = reader(module, node, scope) if reader else scope
        stack.extend((child, inner) for child in _children(node))
    return module


def _children(node: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            found.append(value)
        elif isinstance(value, list):
            found.extend(item for item in value if isinstance(item, ast.AST))
    found.reverse()
    return found


def _read_import(module: Module, node: ast.Import, scope: Scope) -> Scope:
    for alias in node.names:
        if alias.asname:
            scope.bind(alias.asname, Imported(alias.name))
        else:
            top = alias.name.partition(".")[0]
            scope.bind(top, Imported(top))
    return scope


def _read_import_from(module: Module, node: ast.ImportFrom, scope: Scope) -> Scope:
    base = node.module or ""
    for alias in node.names:
        if alias.name == "*":
            scope.stars.append(base if not node.level else "")
        else:
            dotted = f"{base}.{alias.name}" if base else alias.name
            scope.bind(alias.asname or alias.name, Imported(dotted, node.level))
    return scope


def _read_function(module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> Scope:
    scope.bind(node.name, node)
    inner = Scope(scope, node)
    module.functions[id(node)] = inner
    _parameters(module, node.args, inner)
    return inner


def _read_lambda(module: Module, node: ast.Lambda, scope: Scope) -> Scope:
    inner = Scope(scope, node)
    _parameters(module, node.args, inner)
    return inner


def _parameters(module: Module, given: ast.arguments, scope: Scope) -> None:
    plain = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    for parameter, default in [
        *zip(plain, defaults, strict=True),
        *zip(given.kwonlyargs, given.kw_defaults, strict=True),
    ]:
        scope.bind(parameter.arg, Parameter(default, parameter.annotation))
        if default is not None:
            module.assigned.append((parameter.arg, default, scope))


def _read_class(module: Module, node: ast.ClassDef, scope: Scope) -> Scope:
    scope.bind(node.name, node)
    inner = Scope(scope, node)
    module.classes[node.name] = inner
    return inner


def _read_assign(module: Module, node: ast.Assign, scope: Scope) -> Scope:
    for target in node.targets:
        _bind_target(module, target, node.value, scope)
    return scope


def _read_annotated(
    module: Module, node: ast.AnnAssign | ast.NamedExpr | ast.AugAssign, scope: Scope
) -> Scope:
    if node.value is not None:
        _bind_target(module, node.target, node.value, scope)
    return scope


def _bind_target(module: Module, target: ast.expr, value: ast.expr, scope: Scope) -> None:
    if isinstance(target, ast.Name):
        scope.bind(target.id, value)
        module.assigned.append((target.id, value, scope))
    elif isinstance(target, ast.Attribute):
        owner = scope.enclosing_class() or scope
        owner.bind(f".{target.attr}", value)
        module.assigned.append((target.attr, value, scope))
    elif isinstance(target, ast.Subscript):
        module.subscripts.append((target, value, scope))
    elif isinstance(target, ast.Tuple | ast.List):
        _bind_several(module, target.elts, value, scope)


def _bind_several(module: Module, targets: list[ast.expr], value: ast.expr, scope: Scope) -> None:
    same = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(targets)
    for number, target in enumerate(targets):
        if same and isinstance(value, ast.Tuple | ast.List):
            _bind_target(module, target, value.elts[number], scope)
        elif isinstance(target, ast.Name):
            scope.bind(target.id, Element(value))


def _read_loop(module: Module, node: ast.For | ast.AsyncFor | ast.comprehension, scope: Scope) -> Scope:
    targets = node.target.elts if isinstance(node.target, ast.Tuple | ast.List) else [node.target]
    for target in targets:
        if isinstance(target, ast.Name):
            scope.bind(target.id, Element(node.iter))
    return scope


def _read_with(module: Module, node: ast.withitem, scope: Scope) -> Scope:
    if isinstance(node.optional_vars, ast.Name):
        scope.bind(node.optional_vars.id, node.context_expr)
    return scope


def _read_call(module: Module, node: ast.Call, scope: Scope) -> Scope:
    module.calls.append((node, scope))
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("add_argument", "add_option"):
        _read_argument(module, node)
    return scope


def _read_argument(module: Module, node: ast.Call) -> None:
    """``parser.add_argument("--model-name", default=...)`` becomes what ``args.model_name`` may be."""
    default = next((item.value for item in node.keywords if item.arg == "default"), None)
    flags = [
        item.value for item in node.args if isinstance(item, ast.Constant) and isinstance(item.value, str)
    ]
    flags += [
        item.value.value
        for item in node.keywords
        if item.arg == "dest" and isinstance(item.value, ast.Constant) and isinstance(item.value.value, str)
    ]
    for flag in flags:
        if default is not None:
            module.arguments.setdefault(flag.lstrip("-").replace("-", "_"), []).append(default)


def _read_dict(module: Module, node: ast.Dict, scope: Scope) -> Scope:
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            module.assigned.append((key.value, value, scope))
    return scope


def _read_constant(module: Module, node: ast.Constant, scope: Scope) -> Scope:
    if isinstance(node.value, str) and "://" in node.value:
        module.strings.append(node)
    return scope


def _read_statement(module: Module, node: ast.Expr, scope: Scope) -> Scope:
    """A text that stands alone is documentation."""
    if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        node.value = ast.Constant(value=None)
    return scope


def _read_return(module: Module, node: ast.Return, scope: Scope) -> Scope:
    if node.value is not None:
        scope.returns.append(node.value)
    return scope


_READERS: dict[type[ast.AST], Callable[..., Scope]] = {
    ast.Return: _read_return,
    ast.Import: _read_import,
    ast.ImportFrom: _read_import_from,
    ast.FunctionDef: _read_function,
    ast.AsyncFunctionDef: _read_function,
    ast.Lambda: _read_lambda,
    ast.ClassDef: _read_class,
    ast.Assign: _read_assign,
    ast.AnnAssign: _read_annotated,
    ast.NamedExpr: _read_annotated,
    ast.AugAssign: _read_annotated,
    ast.For: _read_loop,
    ast.AsyncFor: _read_loop,
    ast.comprehension: _read_loop,
    ast.withitem: _read_with,
    ast.Call: _read_call,
    ast.Dict: _read_dict,
    ast.Constant: _read_constant,
    ast.Expr: _read_statement,
}
