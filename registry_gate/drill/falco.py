"""Falco's rule files, read strictly, and their conditions run over recorded events.

The grammar is the one Falco's documentation describes (conditions of comparisons joined by and, or, not,
with macros and lists), the fields those of its list of supported fields as of version 0.43 (February 2026).
Falco itself is not run: it needs a kernel of its own to watch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry_gate.drill.deployed import load
from registry_gate.errors import ToolError

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

PRIORITIES = {"EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFORMATIONAL", "DEBUG"}
FIELDS = {
    "evt.type", "evt.res", "evt.is_open_write", "evt.is_open_read", "evt.dir", "evt.time", "evt.num",
    "proc.name", "proc.pname", "proc.cmdline", "proc.exepath", "proc.aname", "proc.pid", "proc.ppid",
    "user.uid", "user.name", "fd.name", "fd.typechar", "fd.type", "fd.num", "fd.sip", "fd.sport", "fd.cip",
    "fd.cport", "fd.l4proto", "fd.directory", "container.id", "container.name",
    "container.image.repository", "container.image.digest", "fs.path.name", "fs.path.source",
    "fs.path.target", "k8s.ns.name", "k8s.pod.name", "k8s.pod.uid",
}  # fmt: skip
_RULE = {"rule", "desc", "condition", "output", "priority", "tags"}
_GRAMMAR = r"""
?start: any
?any: all ("or" all)*
?all: one ("and" one)*
?one: "not" one -> negated
    | "(" any ")"
    | FIELD OPERATOR value -> compared
    | FIELD "in" "(" value ("," value)* ")" -> member
    | FIELD "exists" -> present
    | NAME -> macro
value: TEXT | WORD | NAME | FIELD
OPERATOR: "=" | "!=" | "<=" | ">=" | "<" | ">" | "startswith" | "endswith" | "contains" | "icontains"
FIELD: /[a-z0-9_]+(\.[a-z0-9_]+)+/
NAME: /(?!(?:and|or|not|in|exists|(?:starts|ends)with|i?contains)\b)[a-z_][a-z0-9_]*(?![a-zA-Z0-9_.\/-])/
TEXT: /"[^"]*"/
WORD: /[A-Za-z0-9_\/.:*+-]+/
%ignore /\s+/
"""
_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "startswith": lambda left, right: left.startswith(right),
    "endswith": lambda left, right: left.endswith(right),
    "contains": lambda left, right: right in left,
}


@cache
def parser() -> Lark:
    """The parser of conditions."""
    from lark import Lark

    return Lark(_GRAMMAR, parser="earley", lexer="dynamic", ambiguity="resolve")


Event = Mapping[str, str | int | bool]
"""One event by Falco's field names; a field that is not there is not known."""


@dataclass(frozen=True)
class Rule:
    """One rule, its condition parsed."""

    description: str
    output: str
    priority: str
    tree: Tree[Token]


@dataclass
class Rules:
    """The rules of a file by name, with what they refer to."""

    rules: dict[str, Rule] = field(default_factory=dict)
    macros: dict[str, Tree[Token]] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Rules:
        """Read a rule file.

        Raises:
            ToolError: ``bad-deployment``: something in it is not what Falco takes.
            lark.exceptions.LarkError: a condition cannot be parsed.
        """
        found = cls()
        for item in load(path):
            found._add(item)
        return found

    def _add(self, item: dict[str, Any]) -> None:
        if "rule" in item:
            _require(set(item) == _RULE and item["rule"] not in self.rules, f"the rule {item['rule']!r}")
            tree = parser().parse(item["condition"])
            self.rules[item["rule"]] = Rule(item["desc"], item["output"], item["priority"], tree)
        elif "macro" in item:
            sound = set(item) == {"macro", "condition"} and item["macro"] not in self.macros
            _require(sound, f"the macro {item['macro']!r}")
            self.macros[item["macro"]] = parser().parse(item["condition"])
        elif "list" in item:
            _require(set(item) == {"list", "items"}, f"the list {item['list']!r}")
            self.lists[item["list"]] = [str(one) for one in item["items"]]
        else:
            _require(set(item) == {"required_engine_version"}, f"an entry of {sorted(item)}")

    def check(self) -> None:
        """Macros and lists must exist and be used; fields must be Falco's; priorities one of its eight.

        Raises:
            ToolError: ``bad-deployment``.
        """
        used: set[str] = set()
        for tree in [*self.macros.values(), *(rule.tree for rule in self.rules.values())]:
            for node in _nodes(tree):
                used |= self._names_in(node)
        unused = {*self.macros, *self.lists} - used
        _require(not unused, f"unused: {sorted(unused)}")
        for title, rule in self.rules.items():
            _require(rule.priority in PRIORITIES, f"priority {rule.priority!r}")
            _require(rule.description.endswith((".", ").")), f"the description of {title!r}")
            for name in re.findall(r"%([a-z0-9_.]+[a-z0-9_])", rule.output):
                _require(name in FIELDS, f"the field {name!r}")

    def alarms(self, event: Event) -> set[str]:
        """The rules that an event sets off."""
        return {name for name, rule in self.rules.items() if self._holds(rule.tree, event)}

    def _names_in(self, node: Tree[Token]) -> set[str]:
        """Macros and lists that one node of a condition names."""
        if node.data == "macro":
            _require(str(node.children[0]) in self.macros, f"the macro {node.children[0]!s}")
            return {str(node.children[0])}
        if node.data not in ("compared", "member", "present"):
            return set()
        _require(str(node.children[0]) in FIELDS, f"the field {node.children[0]!s}")
        if node.data != "member":
            return set()
        return {_text(value) for value in node.children[1:]} & set(self.lists)

    def _holds(self, tree: Tree[Token], event: Event) -> bool:
        parts: list[Any] = tree.children
        if tree.data in ("any", "all"):
            joined = any if tree.data == "any" else all
            return joined(self._holds(part, event) for part in parts)
        if tree.data == "negated":
            return not self._holds(parts[0], event)
        if tree.data == "macro":
            return self._holds(self.macros[str(parts[0])], event)
        return self._compares(tree.data, parts, event)

    def _compares(self, how: str, parts: list[Any], event: Event) -> bool:
        value = event.get(str(parts[0]))
        if value is None:  # Falco: a comparison with a field that the event lacks does not hold
            return False
        said = str(value).lower() if isinstance(value, bool) else str(value)
        if how == "compared":
            return _COMPARE[str(parts[1])](said, _text(parts[2]))
        if how == "member":
            return said in [one for part in parts[1:] for one in self.lists.get(_text(part), [_text(part)])]
        return True


def _nodes(tree: Tree[Token]) -> list[Tree[Token]]:
    return [node for node in tree.iter_subtrees() if node.data != "value"]


def _text(value: Any) -> str:
    (token,) = value.children
    return str(token).strip('"')


def _require(sound: bool, what: str) -> None:
    if not sound:
        raise ToolError("bad-deployment", f"the Falco rules: {what} is not as Falco takes it")
