"""Did the bytes that arrived keep to what the source stated, and did the corridor's own guards hold?"""

from __future__ import annotations

from registry_gate.checks.check import Check, Stage
from registry_gate.evidence import Evidence, Problem
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
from registry_gate.policy import Policy

NAME = "source-bytes"

DIFFER = Rule(
    id="bytes-differ-from-listing",
    title="Bytes differ from what the source stated",
    severity=Severity.CRITICAL,
    help="A file's digest or size is not the one listed at the pinned commit: the source, a mirror or the "
    "network changed it. Fetch again from the original endpoint; if it persists, tell who runs the mirror.",
)
LONGER = Rule(
    id="stream-longer-than-stated",
    title="More bytes than stated",
    severity=Severity.CRITICAL,
    help="The source sent more bytes than it states; the stream was cut. Treat the source as hostile.",
)
GUARD = Rule(
    id="corridor-guard",
    title="A guard of the gate refused the candidate",
    severity=Severity.CRITICAL,
    help="Listing, copy plan or staging broke a bound that honest models keep. The message names which.",
)
_OWN = {rule.id: rule for rule in (DIFFER, LONGER)}


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Turn what the corridor refused by itself into findings; not run while nothing was fetched."""
    del policy
    if evidence.snapshot is None and not evidence.refusals:
        return CheckResult(name=NAME, version=1, status=Status.NOT_RUN, reason="no bytes were fetched")
    findings = [_finding(problem) for problem in evidence.refusals]
    files = evidence.snapshot or ()
    return concluded(NAME, 1, findings, {"files": len(files), "bytes": sum(file.size for file in files)})


def _finding(problem: Problem) -> Finding:
    rule = _OWN.get(problem.code, GUARD)
    message = problem.detail if rule is not GUARD else f"{problem.code}: {problem.detail}"
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        confidence=Confidence.HIGH,
        message=message,
        location=Location(file=problem.member),
    )


CHECK = Check(name=NAME, version=1, stage=Stage.FILES, rules=(DIFFER, LONGER, GUARD), run=run)
