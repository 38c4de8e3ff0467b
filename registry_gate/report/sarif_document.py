"""SARIF 2.1.0 from plain values: rules, results with stable fingerprints, places, suppressions, notes.

The generic half: what a result means is for the caller, so that audits and admissions share one document.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import quote

from registry_gate import version
from registry_gate.finding import Rule, Severity
from registry_gate.record import Record

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "registryGate/v1"
_LEVELS = {
    Severity.INFO: "note",
    Severity.LOW: "note",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "error",
}
_SCORES = {
    Severity.INFO: "0.0",
    Severity.LOW: "3.0",
    Severity.MEDIUM: "5.5",
    Severity.HIGH: "8.0",
    Severity.CRITICAL: "9.5",
}


class SarifResult(Record):
    """One result. ``line`` and ``column`` count from 1; ``suppressed`` is the reason, None where it counts."""

    rule: str
    severity: Severity
    message: str
    path: str
    fingerprint: str
    line: int | None = None
    column: int = 1
    code: str = ""
    member: str | None = None
    suppressed: str | None = None
    suppressed_in_source: bool = True
    properties: dict[str, str] = {}


def sarif(
    results: Iterable[SarifResult], rules: Iterable[Rule], notes: Iterable[tuple[str, str]] = ()
) -> str:
    """The whole document as text.

    Args:
        results: in the order to be shown.
        rules: every rule that a result names; others may be among them.
        notes: (path, message) of what was not looked at: notifications of the run.
    """
    listed = list(rules)
    places = {rule.id: number for number, rule in enumerate(listed)}
    run = {
        "tool": {"driver": _driver(listed)},
        "columnKind": "unicodeCodePoints",
        "results": [_result(item, places) for item in results],
        "invocations": [
            {"executionSuccessful": True, "toolExecutionNotifications": [_note(*note) for note in notes]}
        ],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _driver(rules: list[Rule]) -> dict[str, object]:
    return {
        "name": "registry-gate",
        "semanticVersion": version.VERSION,
        "rules": [_rule(rule) for rule in rules],
    }


def _rule(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in rule.id.split("-")),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.title},
        "help": {"text": rule.help},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"security-severity": _SCORES[rule.severity], "tags": ["security", "supply-chain"]},
    }


def _result(item: SarifResult, places: dict[str, int]) -> dict[str, object]:
    result: dict[str, object] = {
        "ruleId": item.rule,
        "ruleIndex": places[item.rule],
        "level": _LEVELS[item.severity],
        "message": {"text": item.message},
        "locations": [_location(item)],
        "partialFingerprints": {FINGERPRINT: item.fingerprint},
    }
    if item.properties:
        result["properties"] = dict(item.properties)
    if item.suppressed is not None:
        kind = "inSource" if item.suppressed_in_source else "external"
        result["suppressions"] = [{"kind": kind, "status": "accepted", "justification": item.suppressed}]
    return result


def _location(item: SarifResult) -> dict[str, object]:
    physical: dict[str, object] = {"artifactLocation": {"uri": quote(item.path, safe="/._-~+@=,")}}
    if item.line is not None:
        region: dict[str, object] = {"startLine": item.line, "startColumn": item.column}
        if item.code:
            region["snippet"] = {"text": item.code}
        physical["region"] = region
    found: dict[str, object] = {"physicalLocation": physical}
    if item.member:
        found["logicalLocations"] = [{"fullyQualifiedName": item.member}]
    return found


def _note(path: str, message: str) -> dict[str, object]:
    place = {"physicalLocation": {"artifactLocation": {"uri": quote(path, safe="/._-~+@=,")}}}
    return {"level": "warning", "message": {"text": message}, "locations": [place]}
