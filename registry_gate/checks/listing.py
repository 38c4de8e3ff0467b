"""Is what the source lists fit to be fetched at all: paths, identity, totals, endpoint?"""

from __future__ import annotations

from collections.abc import Iterator

from registry_gate.candidate import Listing, SourceKind
from registry_gate.checks.check import Check, Stage
from registry_gate.evidence import Evidence
from registry_gate.finding import (
    CheckResult,
    Confidence,
    Finding,
    Location,
    Rule,
    Severity,
    Status,
    concluded,
)
from registry_gate.origin import endpoint_allowed
from registry_gate.paths import path_collisions, path_hazard
from registry_gate.policy import Limits, Policy

NAME = "listing"
_SHOWN = 20
_TEXT = 200

UNSAFE_PATH = Rule(
    id="unsafe-path",
    title="A listed path is no plain relative path",
    severity=Severity.HIGH,
    help="Absolute paths, '..', control characters and the like can write outside the model's folder. "
    "Honest repositories have none. Do not fetch it; report the repository to the hub.",
)
PATH_COLLISION = Rule(
    id="path-collision",
    title="Two listed paths are one file on some file systems",
    severity=Severity.HIGH,
    help="Paths that differ in case or Unicode composition only, or a file where a folder is needed: what "
    "was examined and what is loaded could differ. Ask the owner to rename one of them.",
)
REDIRECTED_ID = Rule(
    id="redirected-id",
    title="The hub answered with another repository",
    severity=Severity.HIGH,
    help="The id in the answer is not the id asked for, case included: the repository was renamed or moved, "
    "and the old name can be registered by someone else. Ask for the new id if that is what you mean.",
)
OVER_LIMIT = Rule(
    id="over-limit",
    title="More files or bytes than the policy allows",
    severity=Severity.HIGH,
    help="The stated totals exceed the policy's limits; nothing is downloaded. Raise the limits in the "
    "policy if a model of this size is meant to be admitted.",
)
EMPTY = Rule(
    id="empty-repository",
    title="The source lists no file",
    severity=Severity.HIGH,
    help="There is nothing to examine, so nothing can be admitted. Check the id and the revision.",
)
ENDPOINT = Rule(
    id="endpoint-not-allowed",
    title="The policy does not list the endpoint",
    severity=Severity.HIGH,
    help="A name means something only together with who answers for it. Add the endpoint to the policy's "
    "'endpoints' if your organisation trusts it, or use one that is listed.",
)


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Judge the listing; the sources refuse the same hazards by themselves before they fetch."""
    listing = evidence.listing
    if listing is None:
        return CheckResult(name=NAME, version=1, status=Status.NOT_RUN, reason="the source was not listed")
    found = [
        *_identity(listing, policy),
        *_paths(listing),
        *_collisions(listing),
        *_totals(listing, policy.limits),
    ]
    return concluded(NAME, 1, found, {"files": len(listing.files), "bytes": listing.total_size})


def _identity(listing: Listing, policy: Policy) -> Iterator[Finding]:
    asked = listing.candidate
    if asked.kind is SourceKind.HUB and not endpoint_allowed(asked.endpoint, policy.endpoints):
        yield _finding(ENDPOINT, f"{_shown(asked.endpoint)} is not among the policy's endpoints")
    if listing.resolved_id != asked.id:
        yield _finding(
            REDIRECTED_ID, f"asked for {_shown(asked.id)}, the source answered {_shown(listing.resolved_id)}"
        )
    if not listing.files:
        yield _finding(EMPTY, "the source lists no file")


def _paths(listing: Listing) -> list[Finding]:
    hazards = [(file.path, hazard) for file in listing.files if (hazard := path_hazard(file.path))]
    found = [
        _finding(UNSAFE_PATH, f"path {_shown(path)} {hazard}", path) for path, hazard in hazards[:_SHOWN]
    ]
    return found + _rest(UNSAFE_PATH, len(hazards))


def _collisions(listing: Listing) -> list[Finding]:
    pairs = path_collisions(file.path for file in listing.files)
    found = [
        _finding(PATH_COLLISION, f"{_shown(first)} and {_shown(second)} collide", second)
        for first, second in pairs[:_SHOWN]
    ]
    return found + _rest(PATH_COLLISION, len(pairs))


def _rest(rule: Rule, count: int) -> list[Finding]:
    return [_finding(rule, f"and {count - _SHOWN} more")] if count > _SHOWN else []


def _totals(listing: Listing, limits: Limits) -> Iterator[Finding]:
    largest = max(listing.files, key=lambda file: file.size, default=None)
    if len(listing.files) > limits.max_files:
        yield _finding(OVER_LIMIT, f"{len(listing.files)} files, the policy allows {limits.max_files}")
    if largest is not None and largest.size > limits.max_file_bytes:
        message = f"a file of {largest.size} bytes, the policy allows {limits.max_file_bytes}"
        yield _finding(OVER_LIMIT, message, largest.path)
    if listing.total_size > limits.max_total_bytes:
        message = f"{listing.total_size} bytes in all, the policy allows {limits.max_total_bytes}"
        yield _finding(OVER_LIMIT, message)


def _finding(rule: Rule, message: str, path: str | None = None) -> Finding:
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        confidence=Confidence.HIGH,
        message=message,
        location=Location(file=path[:_TEXT] if path is not None else None),
    )


def _shown(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= _TEXT else shown[:_TEXT] + "..."


CHECK = Check(
    name=NAME,
    version=1,
    stage=Stage.METADATA,
    rules=(UNSAFE_PATH, PATH_COLLISION, REDIRECTED_ID, OVER_LIMIT, EMPTY, ENDPOINT),
    run=run,
)
