"""What the hub's own scanners say: their alarm counts, their silence or praise proves little."""

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
    Scalar,
    Severity,
    Status,
    concluded,
)
from registry_gate.policy import Policy

NAME = "hub-scan"
_TEXT = 200
_SHOWN = 20
_ALARM = frozenset({"unsafe", "infected", "dangerous", "malicious"})
_CLEAN = frozenset({"safe", "innocuous"})
_PENDING = frozenset({"queued", "unscanned", "error", "pending"})

UNSAFE = Rule(
    id="hub-scan-unsafe",
    title="The hub's scanners call a file unsafe or infected",
    severity=Severity.HIGH,
    help="A virus scanner or pickle scanner of the hub raised the alarm. Do not use this commit.",
)
SUSPICIOUS = Rule(
    id="hub-scan-suspicious",
    title="The hub's scanners are not content with a file",
    severity=Severity.MEDIUM,
    help="'suspicious', 'caution' or a word this gate does not know. A person reads the hub's report.",
)
MISSING = Rule(
    id="hub-scan-missing",
    title="The hub has not scanned every file",
    severity=Severity.MEDIUM,
    help="The policy asks for finished scans by the hub, and some are absent or pending. Wait and try again, "
    "or use an endpoint that states them.",
)


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Judge the scan status of every file, and the repository's list of files with issues."""
    listing = evidence.listing
    if listing is None:
        return CheckResult(name=NAME, version=1, status=Status.NOT_RUN, reason="the source was not listed")
    if listing.candidate.kind is SourceKind.FOLDER:
        reason = "no hub has scanned a local folder"
        return CheckResult(name=NAME, version=1, status=Status.NOT_APPLICABLE, reason=reason)
    said = _said(listing)
    found = [*_alarms(said), *_missing(listing, policy)]
    return concluded(NAME, 1, found, _measurements(listing))


def _said(listing: Listing) -> dict[tuple[str, str], None]:
    """(path, status) of the files and of ``level:path`` issues, once each, in order."""
    by_file = [(file.path, file.hub_scan) for file in listing.files if file.hub_scan is not None]
    issues = listing.metadata.files_with_issues if listing.metadata is not None else ()
    parted = [issue.partition(":") for issue in issues]
    return dict.fromkeys([*by_file, *((path, level) for level, _, path in parted)])


def _alarms(said: dict[tuple[str, str], None]) -> list[Finding]:
    unsafe = [(path, status) for path, status in said if status in _ALARM]
    doubtful = [(path, status) for path, status in said if status not in _ALARM | _CLEAN | _PENDING]
    found = [_finding(UNSAFE, path, status, Confidence.HIGH) for path, status in unsafe[:_SHOWN]]
    return found + [
        _finding(SUSPICIOUS, path, status, Confidence.MEDIUM) for path, status in doubtful[:_SHOWN]
    ]


def _finding(rule: Rule, path: str, status: str, confidence: Confidence) -> Finding:
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        confidence=confidence,
        message=f"the hub says {status[:_TEXT]!r} of {path[:_TEXT]!r}",
        location=Location(file=path[:_TEXT]),
    )


def _missing(listing: Listing, policy: Policy) -> Iterator[Finding]:
    absent = _unscanned(listing)
    if policy.provenance.require_hub_scan and absent:
        yield Finding(
            rule=MISSING.id,
            severity=MISSING.severity,
            confidence=Confidence.HIGH,
            message=f"the hub has finished no scan of {absent} of {len(listing.files)} files",
        )


def _unscanned(listing: Listing) -> int:
    return sum(file.hub_scan is None or file.hub_scan in _PENDING for file in listing.files)


def _measurements(listing: Listing) -> dict[str, Scalar]:
    states = [file.hub_scan for file in listing.files]
    return {
        "files": len(states),
        "safe": sum(state in _CLEAN for state in states),
        "pending": sum(state in _PENDING for state in states),
        "absent": sum(state is None for state in states),
        "scans-done": listing.metadata.scans_done if listing.metadata is not None else None,
    }


CHECK = Check(name=NAME, version=1, stage=Stage.METADATA, rules=(UNSAFE, SUSPICIOUS, MISSING), run=run)
