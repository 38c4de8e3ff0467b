"""May the organisation use it: the stated licence, as an SPDX expression, against the policy's two lists."""

from __future__ import annotations

from enum import IntEnum

from registry_gate.candidate import SourceKind
from registry_gate.checks.check import Check, Stage
from registry_gate.evidence import Evidence
from registry_gate.finding import (
    CheckResult,
    Confidence,
    Finding,
    Rule,
    Scalar,
    Severity,
    Status,
    concluded,
)
from registry_gate.policy import Policy, Provenance

NAME = "licence"
_TEXT = 200
_MAX_NESTING = 20

REFUSED = Rule(
    id="licence-refused",
    title="The policy refuses the licence",
    severity=Severity.HIGH,
    help="The stated licence is on the policy's list of refused ones. Choose another model, or have the list "
    "changed by whoever answers for it.",
)
MISSING = Rule(
    id="licence-missing",
    title="No licence is stated",
    severity=Severity.MEDIUM,
    help="Without a licence there is no right to use the model. Ask the owner to state one in its card.",
)
UNKNOWN = Rule(
    id="licence-unknown",
    title="The licence is on neither of the policy's lists",
    severity=Severity.MEDIUM,
    help="'other', a licence of the hub's own ('llama3', 'openrail', ...) or an expression that is not SPDX. "
    "A person reads it; then the policy lists it as allowed or refused, by the very word the hub uses.",
)


class _Standing(IntEnum):
    """From worst to best: an AND is as good as its worst part, an OR as its best."""

    REFUSED = 0
    UNKNOWN = 1
    ALLOWED = 2


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Judge the licence that the hub states; a folder states none."""
    listing = evidence.listing
    if listing is None:
        return CheckResult(name=NAME, version=1, status=Status.NOT_RUN, reason="the source was not listed")
    if listing.candidate.kind is SourceKind.FOLDER:
        reason = "a folder states no licence apart from its files"
        return CheckResult(name=NAME, version=1, status=Status.NOT_APPLICABLE, reason=reason)
    if listing.metadata is None:
        reason = "the source stated no metadata"
        return CheckResult(name=NAME, version=1, status=Status.UNAVAILABLE, reason=reason)
    stated = (listing.metadata.licence or "").strip()
    if not stated:
        return concluded(NAME, 1, [_finding(MISSING, "the hub states no licence", policy)])
    standing, spdx = _standing(stated, policy.provenance)
    measured: dict[str, Scalar] = {"stated": stated[:_TEXT], "spdx": spdx, "standing": standing.name.lower()}
    return concluded(NAME, 1, _findings(standing, stated, policy), measured)


def _findings(standing: _Standing, stated: str, policy: Policy) -> list[Finding]:
    if standing is _Standing.ALLOWED:
        return []
    rule = REFUSED if standing is _Standing.REFUSED else UNKNOWN
    words = "is refused by the policy" if rule is REFUSED else "is not on the policy's lists"
    return [_finding(rule, f"licence {stated[:_TEXT]!r} {words}", policy)]


def _finding(rule: Rule, message: str, policy: Policy) -> Finding:
    """Where the policy asks for no licence, what is missing or unknown is only recorded."""
    recorded = rule is not REFUSED and not policy.provenance.require_licence
    severity = Severity.INFO if recorded else rule.severity
    return Finding(rule=rule.id, severity=severity, confidence=Confidence.HIGH, message=message)


def _standing(stated: str, provenance: Provenance) -> tuple[_Standing, str | None]:
    """Standing of an expression, and its normal SPDX form where it is one.

    A policy may list the hub's own words ('llama3') as well as SPDX ids; both are compared without case.
    """
    from license_expression import get_spdx_licensing

    word = _listed(stated, provenance)
    if stated.count("(") > _MAX_NESTING:
        return word, None
    licensing = get_spdx_licensing()
    try:
        expression = licensing.parse(stated)
    except Exception:  # hostile text: the parser also fails with IndexError ('()') and others; none is SPDX
        return word, None
    known = not licensing.unknown_license_keys(expression)
    standing = word if word is not _Standing.UNKNOWN else _judge(expression, provenance)
    return standing, str(expression) if known else None


def _judge(expression: object, provenance: Provenance) -> _Standing:
    parts = getattr(expression, "args", ())
    if not parts:
        return _listed(str(expression), provenance)
    standings = [_judge(part, provenance) for part in parts]
    either = str(getattr(expression, "operator", "AND")).strip() == "OR"
    return max(standings) if either else min(standings)


def _listed(word: str, provenance: Provenance) -> _Standing:
    if word.casefold() in {name.casefold() for name in provenance.licences_refused}:
        return _Standing.REFUSED
    if word.casefold() in {name.casefold() for name in provenance.licences_allowed}:
        return _Standing.ALLOWED
    return _Standing.UNKNOWN


CHECK = Check(name=NAME, version=1, stage=Stage.METADATA, rules=(REFUSED, MISSING, UNKNOWN), run=run)
