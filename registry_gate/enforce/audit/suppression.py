"""Suppressions: ``# registry-gate: allow RULE until=2027-01-31 reason="..."``, on the line or above it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from registry_gate.enforce.audit.rules import RULES

_COMMENT = re.compile(
    r"(?:#|//)\s*registry-gate:\s*allow\b\s*([a-z0-9,\s-]*?)\s*(?=(?:until|reason)=|$)(.*)$"
)
_FIELD = re.compile(r"""(until|reason)=(?:"([^"]*)"|'([^']*)'|(\S+))""")
_NEVER = frozenset({"could-not-tell", "suppression-invalid"})
_MIN_REASON = 10


@dataclass(frozen=True, slots=True)
class Suppression:
    """What one comment allows: rules, on which line. ``problem`` says why it counts for nothing."""

    line: int
    covers: int
    rules: frozenset[str]
    until: date | None
    reason: str
    problem: str = ""


def read_suppressions(text: str, today: date) -> tuple[Suppression, ...]:
    """Every suppression of a file, valid or not."""
    if "registry-gate:" not in text:
        return ()
    lines = text.splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        matched = _COMMENT.search(line)
        if matched is not None:
            covers = number if line[: matched.start()].strip() else _next_code(lines, number)
            found.append(_suppression(matched, number, covers, today))
    return tuple(found)


def _next_code(lines: list[str], number: int) -> int:
    for later in range(number, len(lines)):
        plain = lines[later].strip()
        if plain and not plain.startswith(("#", "//")):
            return later + 1
    return number


def _suppression(matched: re.Match[str], line: int, covers: int, today: date) -> Suppression:
    rules = frozenset(re.split(r"[,\s]+", matched[1].strip())) - {""}
    fields = {name: one or two or three for name, one, two, three in _FIELD.findall(matched[2])}
    reason = fields.get("reason", "").strip()
    try:
        until = date.fromisoformat(fields.get("until", ""))
    except ValueError:
        until = None
    return Suppression(line, covers, rules, until, reason, _problem(rules, until, reason, today))


def _problem(rules: frozenset[str], until: date | None, reason: str, today: date) -> str:
    if not rules:
        return "it names no rule"
    if unknown := rules - RULES.keys():
        return f"there is no rule {min(unknown)[:60]!r}"
    if forbidden := rules & _NEVER:
        return f"{min(forbidden)} cannot be suppressed"
    if len(reason) < _MIN_REASON:
        return f"it gives no reason of at least {_MIN_REASON} characters"
    if until is None:
        return "it gives no expiry (until=YYYY-MM-DD)"
    return f"it expired on {until}" if until < today else ""
