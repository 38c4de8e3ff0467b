"""Falco's rule files, read strictly, and their conditions run over recorded events.

The grammar is the one Falco's documentation describes (conditions of comparisons joined by and, or, not,
with macros and lists), the fields those of its list of supported fields as of version 0.43 (February 2026).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lark import Lark, Token, Tree

from tests.deploy.policy_engines import load

PRIORITIES = {"EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFORMATIONAL", "DEBUG"}
FIELDS = {
    "evt.type", "evt.res", "evt.is_open_write", "evt.is_open_read", "evt.dir", "evt.time", "evt.num",
    "proc.name", "proc.pname", "proc.cmdline", "proc.exepath", "proc.aname", "proc.pid", "proc.ppid",
    "user.uid", "user.name", "fd.name", "fd.typechar", "fd.type", "fd.num", "fd.sip", "fd.sport", "fd.cip",
    "fd.cport",
    "fd.l4proto", "fd.directory", "container.id", "container.name", "container.image.repository",
    "container.image.digest", "fs.path.name", "fs.path.source", "fs.path.target",
    "k8s.ns.name", "k8s.pod.name",
    "k8s.pod.uid",
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
_PARSER = Lark(_GRAMMAR, parser="earley", lexer="dynamic", ambiguity="resolve")
_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "startswith": lambda left, right: left.startswith(right),
    "endswith": lambda left, right: left.endswith(right),
    "contains": lambda left, right: right in left,
}


@dataclass
class Rules:
    """The rules of a file by name, with what they refer to."""

    rules: dict[str, dict[str, Any]]
    macros: dict[str, Any]
    lists: dict[str, list[str]]

    @classmethod
    def read(cls, path: Path) -> Rules:
        found = cls({}, {}, {})
        for item in load(path):
            if "rule" in item:
                assert set(item) == _RULE, item["rule"]
                assert item["rule"] not in found.rules
                found.rules[item["rule"]] = {**item, "tree": _PARSER.parse(item["condition"])}
            elif "macro" in item:
                assert set(item) == {"macro", "condition"}
                assert item["macro"] not in found.macros
                found.macros[item["macro"]] = _PARSER.parse(item["condition"])
            elif "list" in item:
                assert set(item) == {"list", "items"}
                found.lists[item["list"]] = [str(one) for one in item["items"]]
            else:
                assert set(item) == {"required_engine_version"}
        return found

    def check(self) -> None:
        """Macros and lists must exist and be used; fields must be Falco's; priorities one of its eight."""
        used: set[str] = set()
        for tree in [*self.macros.values(), *(rule["tree"] for rule in self.rules.values())]:
            for node in _nodes(tree):
                if node.data == "macro":
                    assert str(node.children[0]) in self.macros, node
                    used.add(str(node.children[0]))
                elif node.data in ("compared", "member", "present"):
                    field = str(node.children[0])
                    assert field in FIELDS, field
                    if node.data == "member":
                        used |= {_text(value) for value in node.children[1:]} & set(self.lists)
        assert used == {*self.macros, *self.lists}
        for rule in self.rules.values():
            assert rule["priority"] in PRIORITIES
            assert rule["desc"].endswith((".", ")."))
            for field in re.findall(r"%([a-z0-9_.]+[a-z0-9_])", rule["output"]):
                assert field in FIELDS, field

    def alarms(self, event: Mapping[str, Any]) -> set[str]:
        """The rules that an event sets off."""
        return {name for name, rule in self.rules.items() if self._holds(rule["tree"], event)}

    def _holds(self, tree: Tree[Token], event: Mapping[str, Any]) -> bool:
        parts = tree.children
        match tree.data:
            case "any":
                return any(self._holds(part, event) for part in parts)  # type: ignore[arg-type]
            case "all":
                return all(self._holds(part, event) for part in parts)  # type: ignore[arg-type]
            case "negated":
                return not self._holds(parts[0], event)  # type: ignore[arg-type]
            case "macro":
                return self._holds(self.macros[str(parts[0])], event)
        value = event.get(str(parts[0]))
        if value is None:  # Falco: a comparison with a field that the event lacks does not hold
            return False
        said = str(value).lower() if isinstance(value, bool) else str(value)
        match tree.data:
            case "present":
                return True
            case "compared":
                return _COMPARE[str(parts[1])](said, _text(parts[2]))
            case "member":
                return said in [
                    one for part in parts[1:] for one in self.lists.get(_text(part), [_text(part)])
                ]
        raise AssertionError(tree.data)


def _nodes(tree: Tree[Token]) -> list[Tree[Token]]:
    return [node for node in tree.iter_subtrees() if node.data != "value"]


def _text(value: Any) -> str:
    (token,) = value.children
    return str(token).strip('"')
