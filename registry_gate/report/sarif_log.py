"""A SARIF 2.1.0 log from plain results: the part that every command's SARIF shares.

Source: OASIS SARIF 2.1.0; for what code-scanning services read of it (``security-severity``,
``partialFingerprints``), their documentation. Rule ids are the gate's own, and never change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import quote

from pydantic import JsonValue

from registry_gate.finding import Rule, Severity
from registry_gate.version import VERSION

Object = dict[str, JsonValue]

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_FINGERPRINT = "registryGate/v1"
_LEVELS = {
    Severity.INFO: ("note", "0.0"),
    Severity.LOW: ("note", "3.0"),
    Severity.MEDIUM: ("warning", "5.5"),
    Severity.HIGH: ("error", "8.0"),
    Severity.CRITICAL: ("error", "9.5"),
}


@dataclass(frozen=True)
class Place:
    """Where: a file below the base, a byte or a line of it, and whatever lies deeper, as (kind, name)."""

    file: str
    byte_offset: int | None = None
    line: int | None = None
    inside: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Result:
    """One thing found. ``identity`` is what makes it the same thing in the next run: never its message."""

    rule: Rule
    severity: Severity
    message: str
    place: Place
    identity: tuple[str, ...] = ()
    accepted: str | None = None
    properties: Object = field(default_factory=dict)


def sarif_log(
    results: Sequence[Result],
    *,
    command: str,
    subject: str,
    exit_code: int,
    base: str | None = None,
    properties: Object | None = None,
) -> str:
    """The log of one run, as indented ASCII JSON.

    Args:
        results: in the order to be shown.
        command: ``admit``, ``scan``, ``audit``: with ``subject`` it tells this run's series from others'.
        subject: what was looked at.
        exit_code: of the command; 1 says that nothing was decided.
        base: absolute URI, ending in a slash, that the results' files are relative to.
        properties: facts about the run as a whole.
    """
    rules = list({result.rule.id: result.rule for result in results}.values())
    index = {rule.id: number for number, rule in enumerate(rules)}
    driver: Object = {
        "name": "registry-gate",
        "semanticVersion": VERSION,
        "rules": [_rule(rule) for rule in rules],
    }
    run: Object = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"registry-gate/{command}/{subject}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": exit_code != 1, "exitCode": exit_code}],
        "results": [*_results(results, index, base)],
        "properties": properties or {},
    }
    if base is not None:
        run["originalUriBaseIds"] = {"SOURCE": {"uri": base}}
    log: Object = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=True) + "\n"


def _rule(rule: Rule) -> Object:
    level, score = _LEVELS[rule.severity]
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.title},
        "help": {"text": rule.help},
        "defaultConfiguration": {"level": level},
        "properties": {"security-severity": score, "tags": ["security", "machine-learning"]},
    }


def _results(results: Iterable[Result], index: dict[str, int], base: str | None) -> Iterable[Object]:
    seen: dict[str, int] = {}
    for result in results:
        known = _identity(result)
        seen[known] = seen.get(known, 0) + 1
        said: Object = {
            "ruleId": result.rule.id,
            "ruleIndex": index[result.rule.id],
            "level": _LEVELS[result.severity][0],
            "message": {"text": result.message or result.rule.title},
            "locations": [_location(result.place, base)],
            "partialFingerprints": {_FINGERPRINT: f"{known}:{seen[known]}"},
            "properties": {"severity": result.severity.value, **result.properties},
        }
        if result.accepted:
            said["suppressions"] = [{"kind": "external", "justification": result.accepted}]
        yield said


def _identity(result: Result) -> str:
    parts = (result.rule.id, result.place.file, *map("=".join, result.place.inside), *result.identity)
    return sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _location(place: Place, base: str | None) -> Object:
    artifact: Object = {"uri": quote(place.file.encode("utf-8", "backslashreplace"))}
    if base is not None:
        artifact["uriBaseId"] = "SOURCE"
    physical: Object = {"artifactLocation": artifact}
    if place.line is not None:
        physical["region"] = {"startLine": place.line}
    elif place.byte_offset is not None:
        physical["region"] = {"byteOffset": place.byte_offset, "byteLength": 0}
    location: Object = {"physicalLocation": physical}
    if place.inside:
        location["logicalLocations"] = [{"kind": kind, "name": name} for kind, name in place.inside]
    return location
