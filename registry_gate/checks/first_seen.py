"""Is it still the same repository, of the same owner, that was seen under this name before?

A hub lets anyone take a name that was deleted. What the hub states of the beginnings (the ids of repository
and account, when they were made, the first commit) is held against what it stated when the log first saw the
name. All of it is the hub's word: it exposes an account taken over, not a hub that lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from registry_gate.candidate import SeenFacts, SourceKind
from registry_gate.checks.check import Check, Stage
from registry_gate.evidence import Evidence, FirstSeen, History
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
from registry_gate.policy import Policy

NAME = "first-seen"
VERSION = 1

REUSED = Rule(
    id="namespace-reused",
    title="The name no longer means what it meant when it was first seen",
    severity=Severity.HIGH,
    help="The repository or its owner's account was made anew, or its history was rewritten, since this gate "
    "first saw the name. Deleted names are taken by others to serve their own models. Ask the publisher by "
    "another channel; a waiver for the commit accepts it.",
)


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Compare with the first appearance in the log; a name never seen before has nothing to differ from."""
    listing, history = evidence.listing, evidence.history
    if listing is None:
        return _did_not_look(Status.NOT_RUN, "the source was not listed")
    if listing.candidate.kind is SourceKind.FOLDER:
        return _did_not_look(Status.NOT_APPLICABLE, "a folder has no owner on a hub")
    if history is None:
        return _did_not_look(Status.NOT_APPLICABLE, "there is no log yet that could know this name")
    now = listing.metadata.beginnings if listing.metadata else None
    if now is None:
        return _did_not_look(Status.UNAVAILABLE, "the source states nothing of its beginnings")
    return concluded(NAME, VERSION, [*_differences(now, history)], _measurements(now, history))


def _did_not_look(status: Status, reason: str) -> CheckResult:
    return CheckResult(name=NAME, version=VERSION, status=status, reason=reason)


def _differences(now: SeenFacts, history: History) -> Iterator[Finding]:
    if (model := history.model) is not None:
        then = model.facts
        yield from _other("the repository's id", then.repository_id, now.repository_id, model)
        yield from _younger("the repository", then.created_at, now.created_at, model)
        # another branch may have other roots: less sure than an id
        yield from _other("the first commit", then.first_commit, now.first_commit, model, Confidence.MEDIUM)
    if (owner := history.owner) is not None:
        then = owner.facts
        yield from _other("the id of the owner's account", then.owner_id, now.owner_id, owner)
        yield from _younger("the owner's account", then.owner_created_at, now.owner_created_at, owner)


def _other(
    what: str,
    then: str | None,
    now: str | None,
    first: FirstSeen,
    confidence: Confidence = Confidence.HIGH,
) -> Iterator[Finding]:
    if then is not None and now is not None and then != now:
        yield _finding(f"{what} is {now!r}, and was {then!r} when {_when(first)}", confidence)


def _younger(what: str, then: datetime | None, now: datetime | None, first: FirstSeen) -> Iterator[Finding]:
    """Made later than was stated at first, or than the name was first seen."""
    known = min(moment for moment in (then, first.at) if moment is not None)
    if now is not None and now > known:
        yield _finding(f"{what} was made on {now:%Y-%m-%d}, but {_when(first)}{_stated(then)}")


def _stated(then: datetime | None) -> str:
    return f", made on {then:%Y-%m-%d}" if then is not None else ""


def _when(first: FirstSeen) -> str:
    return f"first seen on {first.at:%Y-%m-%d} (sequence {first.sequence})"


def _finding(message: str, confidence: Confidence = Confidence.HIGH) -> Finding:
    return Finding(rule=REUSED.id, severity=REUSED.severity, confidence=confidence, message=message)


def _measurements(now: SeenFacts, history: History) -> dict[str, Scalar]:
    model, owner = history.model, history.owner
    return {
        "model-first-seen": model.at.isoformat() if model else None,
        "owner-first-seen": owner.at.isoformat() if owner else None,
        "repository-id": now.repository_id,
        "first-commit": now.first_commit,
        "first-author": now.first_author,
        "owner-id": now.owner_id,
        "owner-created": now.owner_created_at.isoformat() if now.owner_created_at else None,
    }


CHECK = Check(name=NAME, version=VERSION, stage=Stage.METADATA, rules=(REUSED,), run=run)
