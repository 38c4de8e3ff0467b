"""The report of an audit as text for people and SARIF for code scanning."""

from __future__ import annotations

from collections import Counter

from registry_gate.enforce.audit.document import AuditFinding, AuditReport, Disposition, Standing
from registry_gate.enforce.audit.rules import RULES
from registry_gate.report.escape import for_terminal
from registry_gate.report.sarif_log import Place, Result, sarif_log

_MAX_SHOWN = 200
_MAX_NOTES = 20


def as_text(report: AuditReport, *, show_all: bool = False) -> str:
    """Findings that count first to last, with what to write instead; then notes; then the sum."""
    counted = [item for item in report.findings if show_all or item.disposition is Disposition.OPEN]
    odd = {item.model for item in report.findings if item.rule in ("look-alike", "revoked-model")}
    lines = [line for item in counted[:_MAX_SHOWN] for line in _lines(item, advise=item.model not in odd)]
    if len(counted) > _MAX_SHOWN:
        lines.append(f"and {len(counted) - _MAX_SHOWN} more findings (--format json shows all)")
    lines += [f"note: {item.path}: {item.message}" for item in report.notes[:_MAX_NOTES]]
    if len(report.notes) > _MAX_NOTES:
        lines.append(f"and {len(report.notes) - _MAX_NOTES} more notes")
    lines.append(_sum(report))
    return "".join(for_terminal(line) + "\n" for line in lines)


def _lines(item: AuditFinding, *, advise: bool) -> list[str]:
    cell = f"cell {item.cell}:" if item.cell else ""
    state = "" if item.disposition is Disposition.OPEN else f" [{item.disposition.value}]"
    lines = [f"{item.path}:{cell}{item.line}: {item.severity.value}: {item.rule}{state}: {item.message}"]
    if item.model and item.standing:
        lines.append(f"    model  {item.model}: {item.standing.value}")
    if item.replacement:
        lines.append(f"    write  {item.replacement}")
    elif advise and item.standing is Standing.UNKNOWN:
        lines.append(f"    first  registry-gate admit {item.model}")
    return lines


def _sum(report: AuditReport) -> str:
    counts = Counter(item.disposition for item in report.findings)
    others = [
        f"{counts[one]} {one.value}"
        for one in (Disposition.NOTED, Disposition.SUPPRESSED, Disposition.BASELINE)
        if counts[one]
    ]
    told = f"{counts[Disposition.OPEN]} findings" + (f" ({', '.join(others)})" if others else "")
    return f"{told} in {report.files} files; {len(report.on_road)} loads on the road; {report.log}"


def as_sarif(report: AuditReport, exit_code: int) -> str:
    """SARIF 2.1.0: all findings; what is suppressed or known debt is carried as such."""
    return sarif_log(
        [_result(item) for item in report.findings],
        command="audit",
        subject="code",
        exit_code=exit_code,
        properties={
            "files": report.files,
            "loads-on-road": len(report.on_road),
            "log": report.log,
            "notes": [f"{note.path}: {note.message}" for note in report.notes],
        },
    )


def _result(item: AuditFinding) -> Result:
    advice = f" Write {item.replacement} instead." if item.replacement else ""
    accepted = None
    if item.disposition in (Disposition.SUPPRESSED, Disposition.BASELINE):
        accepted = item.reason or "known when the baseline was written"
    inside = (("cell", str(item.cell)),) if item.cell else ()
    facts = {"model": item.model, "standing": item.standing.value if item.standing else None}
    return Result(
        rule=RULES[item.rule],
        severity=item.severity,
        message=item.message + advice,
        place=Place(item.path, line=item.line, inside=inside),
        identity=(item.fingerprint,),
        accepted=accepted,
        properties={name: text for name, text in facts.items() if text},
    )
