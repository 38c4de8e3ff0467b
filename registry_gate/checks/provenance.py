"""Where does it come from: each piece of evidence with what it proves, strongest first.

Order of strength: an owner on the policy's allow-list, an organisation the hub verified, age and history, and
what uploaders declare themselves (base models). Downloads and likes are recorded and weigh nothing: they are
bought by the hundred thousand.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from registry_gate.candidate import HubMetadata, Listing, SourceKind
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
from registry_gate.origin import endpoint_allowed
from registry_gate.policy import Policy

NAME = "provenance"
_TEXT = 200

NEW = Rule(
    id="new-repository",
    title="The repository is younger than the policy asks",
    severity=Severity.MEDIUM,
    help="Impersonations are found within days or weeks. Wait, or let a person confirm where it comes from.",
)
AGE_UNKNOWN = Rule(
    id="age-unknown",
    title="The hub does not say when the repository was made",
    severity=Severity.MEDIUM,
    help="The policy asks for a minimum age and this endpoint states none. Use an endpoint that does, or let "
    "a person confirm where the model comes from.",
)
NOT_VERIFIED = Rule(
    id="owner-not-verified",
    title="The owner is no organisation that the hub verified",
    severity=Severity.MEDIUM,
    help="The policy asks for verified organisations. A person can confirm the owner instead.",
)
GATED = Rule(
    id="gated-repository",
    title="The repository is gated",
    severity=Severity.MEDIUM,
    help="Its conditions were accepted by whoever's token fetches it, and bind the organisation. The policy "
    "does not allow that without a person's review.",
)
DISABLED = Rule(
    id="disabled-repository",
    title="The hub has disabled the repository",
    severity=Severity.HIGH,
    help="Hubs disable repositories that break their rules or the law. Do not use it.",
)
PRIVATE = Rule(
    id="private-repository",
    title="The repository is private",
    severity=Severity.INFO,
    help="Nobody outside can look at what was admitted. Recorded only.",
)
_PROVES: dict[str, Scalar] = {
    "proves-owner-on-allow-list": "the policy's authors trust this owner's name at a listed endpoint",
    "proves-owner-verified": "the hub checked once that the organisation is who it says",
    "proves-age-days": "others had that long to notice an impersonation",
    "proves-base-models": "nothing: the uploader's own statement",
    "proves-downloads": "nothing: forgeable, never lowers a severity",
}


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Judge owner, age and state of the repository; a folder has a name only, which repo-name judges."""
    listing = evidence.listing
    if listing is None:
        return CheckResult(name=NAME, version=1, status=Status.NOT_RUN, reason="the source was not listed")
    if listing.candidate.kind is SourceKind.FOLDER:
        return concluded(NAME, 1, [], {"source": "folder", "commit": listing.commit})
    if listing.metadata is None:
        reason = "the source stated no metadata"
        return CheckResult(name=NAME, version=1, status=Status.UNAVAILABLE, reason=reason)
    age = _age_days(listing.metadata, evidence.observed_at)
    found = [*_owner(listing.metadata, policy), *_age(age, policy), *_state(listing.metadata, policy)]
    return concluded(NAME, 1, found, _measurements(listing, listing.metadata, age, policy))


def _owner(metadata: HubMetadata, policy: Policy) -> Iterator[Finding]:
    if policy.provenance.require_verified_organisation and metadata.owner_verified is not True:
        said = "says the owner is not verified" if metadata.owner_verified is False else "does not say"
        yield _finding(NOT_VERIFIED, f"a verified organisation is asked for, the hub {said}")


def _age(age: float | None, policy: Policy) -> Iterator[Finding]:
    wanted = policy.provenance.min_age_days
    if wanted == 0:
        return
    if age is None:
        yield _finding(AGE_UNKNOWN, f"{wanted} days are asked for, the hub states no date")
    elif age < wanted:
        yield _finding(NEW, f"{age:.1f} days old, {wanted} are asked for")


def _state(metadata: HubMetadata, policy: Policy) -> Iterator[Finding]:
    if metadata.disabled:
        yield _finding(DISABLED, "the hub has disabled the repository")
    if metadata.gated and not policy.provenance.allow_gated:
        yield _finding(GATED, "the repository is gated")
    if metadata.private:
        yield _finding(PRIVATE, "the repository is private")


def _age_days(metadata: HubMetadata, observed_at: datetime) -> float | None:
    if metadata.created_at is None:
        return None
    return (observed_at - metadata.created_at).total_seconds() / 86_400


def _measurements(
    listing: Listing, metadata: HubMetadata, age: float | None, policy: Policy
) -> dict[str, Scalar]:
    owner = listing.candidate.owner
    # a trusted name means something only at an endpoint that the policy lists, and if it really answered
    at_home = endpoint_allowed(listing.candidate.endpoint, policy.endpoints)
    trusted = owner in policy.provenance.trusted_owners and listing.resolved_id == listing.candidate.id
    modified = metadata.last_modified
    return {
        "source": "hub",
        "commit": listing.commit,
        "owner": owner,
        "author": metadata.author,
        "owner-on-allow-list": at_home and trusted,
        "owner-verified": metadata.owner_verified,
        "age-days": round(age, 2) if age is not None else None,
        "commits": metadata.commits,
        "last-modified": modified.isoformat() if modified is not None else None,
        "gated": metadata.gated,
        "base-models": ", ".join(metadata.base_models)[:_TEXT] or None,
        "downloads": metadata.downloads,
        "likes": metadata.likes,
        **_PROVES,
    }


def _finding(rule: Rule, message: str) -> Finding:
    return Finding(rule=rule.id, severity=rule.severity, confidence=Confidence.HIGH, message=message)


CHECK = Check(
    name=NAME,
    version=1,
    stage=Stage.METADATA,
    rules=(NEW, AGE_UNKNOWN, NOT_VERIFIED, GATED, DISABLED, PRIVATE),
    run=run,
)
