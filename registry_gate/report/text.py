"""The report for a terminal: verdict first, then why, then what was looked at."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table
from rich.text import Text

from registry_gate.decision import Verdict
from registry_gate.finding import Finding, Location, Status
from registry_gate.report.document import Report
from registry_gate.report.escape import for_terminal
from registry_gate.report.words import behaviour_numbers, measured, place

_VERDICT_STYLE = {Verdict.ADMIT: "bold green", Verdict.REVIEW: "bold yellow", Verdict.REJECT: "bold red"}
_STATUS_STYLE = {Status.NO_FINDINGS: "green", Status.FINDINGS: "yellow", Status.NOT_APPLICABLE: "dim"}
_NOTHING_FOUND = "NOTHING FOUND"
_SEVERITY_STYLE = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "dim"}


def render(report: Report, *, colour: bool = False, width: int = 110) -> str:
    """The report as text; ``colour`` adds terminal styles of our own, candidate text never does."""
    sink = io.StringIO()
    console = Console(
        file=sink, width=width, force_terminal=colour, no_color=not colour, highlight=False, emoji=False
    )
    _headline(console, report)
    _reasons(console, report)
    _findings(console, report)
    _checks(console, report)
    _behaviour(console, report)
    _outcome(console, report)
    return sink.getvalue()


def _say(console: Console, *parts: str | tuple[str, str]) -> None:
    text = Text()
    for part in parts:
        body, style = part if isinstance(part, tuple) else (part, "")
        text.append(for_terminal(body), style=style)
    console.print(text, soft_wrap=True)


def _headline(console: Console, report: Report) -> None:
    candidate = report.candidate
    said = _NOTHING_FOUND if _found_nothing(report) else report.verdict.value.upper()
    _say(console, (said, _VERDICT_STYLE[report.verdict]), "  ", (report.subject, "bold"))
    origin = candidate.endpoint or "local folder"
    _say(console, f"  source   {origin}  commit {candidate.commit or 'not resolved'}")
    _say(console, f"  policy   {report.policy.name} (sha256 {report.policy.sha256[:16]}…)")
    if report.task:
        _say(console, f"  task     {report.task}")
    if report.sandbox:
        _say(console, f"  sandbox  {report.sandbox}")


def _found_nothing(report: Report) -> bool:
    """A scan admits nothing, however well it went."""
    return report.command == "scan" and report.verdict is Verdict.ADMIT


def _reasons(console: Console, report: Report) -> None:
    if report.reasons:
        console.print()
        _say(console, ("Why", "bold"))
    for reason in report.reasons:
        waived = f"  [waived by {reason.waived_by}]" if reason.waived_by else ""
        style = _VERDICT_STYLE[reason.verdict]
        _say(console, "  ", (reason.verdict.value, style), f"  {reason.code}: {reason.message}{waived}")


def _findings(console: Console, report: Report) -> None:
    if not report.findings:
        return
    console.print()
    _say(console, ("Findings", "bold"))
    for finding in report.findings:
        _say(
            console,
            "  ",
            (f"{finding.severity.value:<8}", _SEVERITY_STYLE[finding.severity.value]),
            f" {finding.rule} ({finding.confidence.value} confidence){_where(finding.location)}",
        )
        _say(console, f"           {finding.message}{_score(finding)}")


def _score(finding: Finding) -> str:
    return "" if finding.score is None else f" (score {finding.score:.2f})"


def _where(location: Location) -> str:
    shown = place(location)
    return f" in {shown}" if shown else ""


def _checks(console: Console, report: Report) -> None:
    console.print()
    table = Table(
        title="Checks", title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2)
    )
    for column in ("check", "status", "what it measured"):
        table.add_column(column, overflow="fold")
    for check in report.checks:
        status = Text(check.status.value, style=_STATUS_STYLE.get(check.status, "magenta"))
        table.add_row(check.name, status, Text(for_terminal(check.reason or measured(check.measurements))))
    console.print(table)


def _behaviour(console: Console, report: Report) -> None:
    tests = [test for test in report.behaviour if test.status == "measured"]
    if not tests:
        return
    console.print()
    _say(console, ("Behaviour", "bold"))
    for test in tests:
        _say(console, f"  {test.test}: {behaviour_numbers(test)}")
        if test.power_note:
            _say(console, (f"    {test.power_note}", "dim"))


def _outcome(console: Console, report: Report) -> None:
    console.print()
    if report.release:
        release = report.release
        _say(console, f"signed    {release.registered_name} manifest {release.manifest_digest}")
        until = f"{release.expires_at:%Y-%m-%d}"
        # A key by the beginning of its id, an identity or a certificate in full.
        signer = release.key_id if " " in release.key_id else f"key {release.key_id[:16]}…"
        _say(console, f"          sequence {release.sequence}, {signer}, until {until}")
    if report.receipt:
        receipt = report.receipt
        reused = " (already admitted; verified again in full)" if receipt.reused else ""
        moved = "" if receipt.alias_current else " (alias stays at a later admission)"
        address = f"version {receipt.version} alias {receipt.alias}{moved} in {receipt.registry_uri}"
        _say(console, f"registry  {address}{reused}")
    for path, why in report.left_behind:
        _say(console, (f"left out  {path}: {why}", "dim"))
    for note in report.notes:
        _say(console, f"note      {note}")
    steps = ", ".join(f"{name} {value:.2f} s" for name, value in report.seconds.items())
    _say(console, (f"time      {steps}", "dim"))
    if report.folder:
        _say(console, f"report    {report.folder}")
