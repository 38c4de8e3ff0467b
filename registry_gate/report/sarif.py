"""The report of an admission or scan as SARIF 2.1.0, for code-scanning services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import quote

from registry_gate.candidate import SourceKind
from registry_gate.decision import Verdict
from registry_gate.finding import Finding, Rule, Severity
from registry_gate.report.document import Report
from registry_gate.report.sarif_log import Place, Result, sarif_log

# Reasons that are no finding: a check that did not look, or a step that refused by itself.
_UNFOUND = {Verdict.REVIEW: Severity.MEDIUM, Verdict.REJECT: Severity.HIGH, Verdict.ADMIT: Severity.INFO}
_WITHOUT_FILE = "README.md"
"""What has no file of its own is shown at the one file that every repository has a place for."""


def render(report: Report, rules: Mapping[str, Rule]) -> str:
    """The report as a SARIF log.

    Args:
        report: any; findings that a waiver accepts are shown as suppressed, with its reason.
        rules: of all checks, by id; one that is not there is described by its id alone.
    """
    found = [*_findings(report, rules), *_other_reasons(report, rules)]
    return sarif_log(
        found,
        command=report.command,
        subject=report.candidate.id,
        exit_code=0 if report.verdict is Verdict.ADMIT else 2,
        base=_base(report),
        properties={
            "verdict": report.verdict.value,
            "policy": f"{report.policy.name} sha256:{report.policy.sha256}",
            "evidenceDigest": report.evidence_digest,
            "commit": report.candidate.commit,
        },
    )


def _base(report: Report) -> str | None:
    candidate = report.candidate
    if candidate.kind is SourceKind.FOLDER or candidate.commit is None:
        return None
    return f"{candidate.endpoint}/{quote(candidate.id)}/blob/{candidate.commit}/"


def _findings(report: Report, rules: Mapping[str, Rule]) -> Iterator[Result]:
    waived = {
        (reason.code, reason.message): reason.waived_by for reason in report.reasons if reason.waived_by
    }
    for finding in report.findings:
        yield Result(
            rule=rules.get(finding.rule) or _unknown(finding.rule, finding.severity),
            severity=finding.severity,
            message=finding.message,
            place=_place(finding),
            identity=_who(report),
            accepted=waived.get((finding.rule, finding.message)),
            properties={"confidence": finding.confidence.value, "score": finding.score},
        )


def _other_reasons(report: Report, rules: Mapping[str, Rule]) -> Iterator[Result]:
    told = {(finding.rule, finding.message) for finding in report.findings}
    for reason in report.reasons:
        if (reason.code, reason.message) not in told:
            severity = _UNFOUND[reason.verdict]
            yield Result(
                rule=rules.get(reason.code) or _unknown(reason.code, severity),
                severity=severity,
                message=reason.message,
                place=Place(_WITHOUT_FILE),
                identity=_who(report),
                accepted=reason.waived_by,
            )


def _who(report: Report) -> tuple[str, ...]:
    """The source without its commit: the same finding in the next commit is the same finding."""
    return (report.candidate.endpoint, report.candidate.id)


def _place(finding: Finding) -> Place:
    where = finding.location
    named = (("member", where.member), ("tensor", where.tensor), ("field", where.field))
    return Place(
        where.file or _WITHOUT_FILE,
        byte_offset=where.offset,
        inside=tuple((kind, name) for kind, name in named if name is not None),
    )


def _unknown(code: str, severity: Severity) -> Rule:
    return Rule(id=code, title=code.replace("-", " "), severity=severity, help="See the report's message.")
