"""What picklescan says of the files that may hold pickles, and whether it saw what our own reading saw."""

from __future__ import annotations

from registry_gate.checks.check import Check, Stage
from registry_gate.evidence import Evidence, FileFacts, FileFormat, ScannerFacts
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

NAME = "pickle-scanner"
_MAX_SHOWN = 20

DANGEROUS = Rule(
    id="picklescan-dangerous",
    title="picklescan calls a file dangerous",
    severity=Severity.CRITICAL,
    help="The file imports a name that picklescan knows as a way to run code. Do not load it anywhere.",
)
ERROR = Rule(
    id="scanner-error",
    title="picklescan could not look",
    severity=Severity.HIGH,
    help="The scanner failed or skipped a part, so its silence means nothing. Install it, or save the file "
    "again.",
)
DISAGREEMENT = Rule(
    id="scanner-disagreement",
    title="picklescan and our own reading differ",
    severity=Severity.HIGH,
    help="Two readers of the same pickle saw different imports: one of them was misled on purpose, or has a "
    "mistake. Treat the file as hostile and report it.",
)
_JUDGED = frozenset({FileFormat.TORCH_ZIP, FileFormat.TORCH_LEGACY, FileFormat.PICKLE})
_OTHERS = frozenset({FileFormat.TORCHSCRIPT, FileFormat.ZIP, FileFormat.NUMPY})


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Judge the scanner's answers; a pickle that it gave no complete answer for is a finding."""
    if evidence.facts is None:
        return CheckResult(name=NAME, version=1, status=Status.NOT_RUN, reason="no files were read")
    files = [file for file in evidence.facts.files if file.format in _JUDGED | _OTHERS or file.scanner]
    findings = [finding for file in files for finding in _judge(file, policy)]
    return concluded(NAME, 1, findings, {"files": len(files)})


def _judge(file: FileFacts, policy: Policy) -> list[Finding]:
    scanner = file.scanner
    if scanner is None:
        return [_finding(file, ERROR, "was not scanned")]
    findings = [
        _finding(file, DANGEROUS, f"{name[:200]!r} is dangerous") for name in scanner.dangerous[:_MAX_SHOWN]
    ]
    if scanner.status != "complete":
        severity = Severity.MEDIUM if file.format in _OTHERS else Severity.HIGH
        findings.append(_finding(file, ERROR, f"{scanner.detail[:200]!r}", severity))
    return findings + (_compared(file, scanner, policy) if file.format in _JUDGED else [])


def _compared(file: FileFacts, scanner: ScannerFacts, policy: Policy) -> list[Finding]:
    """Names only the scanner saw are grave; names off our list that it calls clean are a known weakness."""
    ours = {f"{use.module}.{use.name}" for pickle in file.pickles for use in pickle.globals}
    unseen = sorted({*scanner.dangerous, *scanner.suspicious} - ours)
    findings = []
    if unseen:
        names = ", ".join(repr(name[:100]) for name in unseen[:5])
        findings.append(_finding(file, DISAGREEMENT, f"saw {names}, which our reading did not"))
    refused = any(
        not policy.pickle_allow_list.allows(use.module, use.name)
        for pickle in file.pickles
        for use in pickle.globals
    )
    if refused and not scanner.dangerous and scanner.status == "complete":
        detail = "calls nothing dangerous where our reading found names off the list"
        findings.append(_finding(file, DISAGREEMENT, detail, Severity.LOW))
    return findings


def _finding(file: FileFacts, rule: Rule, detail: str, severity: Severity | None = None) -> Finding:
    return Finding(
        rule=rule.id,
        severity=severity or rule.severity,
        confidence=Confidence.HIGH,
        message=f"picklescan on {file.path[:200]!r}: {detail}",
        location=Location(file=file.path),
    )


CHECK = Check(name=NAME, version=1, stage=Stage.FILES, rules=(DANGEROUS, ERROR, DISAGREEMENT), run=run)
