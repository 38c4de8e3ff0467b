"""Is the repository's name what it says, or a look-alike of one that people trust?"""

from __future__ import annotations

from registry_gate.checks.check import Check, Stage
from registry_gate.evidence import Evidence
from registry_gate.finding import (
    CheckResult,
    Finding,
    Location,
    Rule,
    Scalar,
    Severity,
    Status,
    concluded,
)
from registry_gate.names import NameAssessment, NameMatch, assess
from registry_gate.policy import Policy

NAME = "repo-name"

TYPOSQUAT = Rule(
    id="name-typosquat",
    title="Look-alike of a protected name",
    severity=Severity.HIGH,
    help="The owner or the name is a slip, a look-alike spelling or a variation of one that people trust, "
    "but not that one. Take the model that is imitated, or, when the name is honest, have the owner added to "
    "the protected list of the policy.",
)
NAMESPACE = Rule(
    id="name-namespace-confusion",
    title="A protected model's name under another owner",
    severity=Severity.MEDIUM,
    help="A copy of a well-known model by an owner neither its maker nor an allowed re-uploader. Take "
    "the original, or let a person compare the weights; re-uploaders you rely on belong on the list.",
)
NEAR_MISS = Rule(
    id="name-near-miss",
    title="Almost a protected name",
    severity=Severity.MEDIUM,
    help="A slip below the right owner, or upper and lower case that differ: likely a mistake. "
    "Ask again with the id as its owner spells it.",
)
NOT_ASCII = Rule(
    id="name-not-ascii",
    title="Characters that no model id has",
    severity=Severity.HIGH,
    help="Ids are ASCII; letters of other alphabets that look the same are an old forgery. Type the id anew.",
)
INVALID = Rule(
    id="name-invalid",
    title="Not a model id",
    severity=Severity.HIGH,
    help="Ids are 'name' or 'owner/name', at most 96 of letters, digits, '-', '_', '.'. Check the spelling.",
)
UNKNOWN_BARE = Rule(
    id="name-unknown-bare",
    title="A name without owner that is not a known legacy name",
    severity=Severity.MEDIUM,
    help="Only the hub's legacy models have no owner, and no new ones can be made. Ask with owner and name.",
)
BORROWED_OWNER = Rule(
    id="name-borrowed-owner",
    title="A folder named after a protected owner",
    severity=Severity.HIGH,
    help="A local folder has no source that could prove the owner. Name it after your own organisation.",
)
RULES = (
    TYPOSQUAT,
    NAMESPACE,
    NEAR_MISS,
    NOT_ASCII,
    INVALID,
    UNKNOWN_BARE,
    BORROWED_OWNER,
)
_BY_ID = {rule.id: rule for rule in RULES}
_MAX_SHOWN = 120


def findings_of(assessment: NameAssessment) -> list[Finding]:
    """Turn what was found about an id into findings, each with the severity of its rule."""
    return [
        Finding(
            rule=match.rule,
            severity=_BY_ID[match.rule].severity,
            confidence=match.confidence,
            message=_message(assessment.model_id, match),
            location=Location(field=match.part),
        )
        for match in assessment.matches
    ]


def _message(model_id: str, match: NameMatch) -> str:
    shown = _shown(model_id)
    if match.rule == NAMESPACE.id:
        return f"{shown} carries the name of {_shown(match.imitates)}"
    if match.rule == NEAR_MISS.id:
        return f"{shown}: did you mean {_shown(match.imitates)}? ({_how(match)})"
    if match.rule == BORROWED_OWNER.id:
        return f"{shown} is a folder under the protected owner {_shown(match.imitates)}"
    if match.imitates:
        return f"the {match.part} of {shown} looks like {_shown(match.imitates)} ({_how(match)})"
    return f"{shown}: {_BY_ID[match.rule].title.lower()}"


def _how(match: NameMatch) -> str:
    return f"{match.how.value} {match.distance}" if match.distance is not None else match.how.value


def _shown(text: str | None) -> str:
    # ascii() also escapes look-alike letters, which would otherwise read as the name they imitate.
    shown = ascii(text)
    return shown if len(shown) <= _MAX_SHOWN else shown[:_MAX_SHOWN] + "..."


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Judge the id asked for; whether the source answered with the same one is for the listing check."""
    if NAME in evidence.out_of_scope:
        return CheckResult(
            name=NAME, version=1, status=Status.NOT_APPLICABLE, reason="a bare file has no repository name"
        )
    candidate = evidence.candidate
    assessment = assess(candidate.id, policy.protected, kind=candidate.kind)
    measurements: dict[str, Scalar] = {
        "imitates": assessment.imitates,
        "protected_list": policy.protected.dated.isoformat(),
    }
    return concluded(NAME, 1, findings_of(assessment), measurements)


CHECK = Check(name=NAME, version=1, stage=Stage.METADATA, rules=RULES, run=run)
