"""``registry-gate audit``: where a code base goes round the road."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry_gate.cli.admit import Output, PolicyName
from registry_gate.cli.show import check_output, emit, progress_bars
from registry_gate.errors import UsageError
from registry_gate.finding import Severity

if TYPE_CHECKING:
    from registry_gate.enforce.audit.audit import Rulebook
    from registry_gate.enforce.audit.baseline import Baseline
    from registry_gate.enforce.audit.document import AuditReport

Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders to read.")]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", help="Files and folders to leave out; may be given again."),
]


class AuditFormat(StrEnum):
    """How an audit is printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def audit(
    paths: Paths,
    fail_on: Annotated[
        Severity, typer.Option(help="The least severity that fails; what is below is noted only.")
    ] = Severity.MEDIUM,
    baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Known debt, as --write-baseline wrote it.")
    ] = None,
    write_baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what is found now as known debt.")
    ] = None,
    exclude: Exclude = None,
    policy: PolicyName = "default",
    format_: Annotated[
        AuditFormat,
        typer.Option("--format", help="text for people, json for programs, sarif for code scanning."),
    ] = AuditFormat.TEXT,
    output: Output = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="In text, also what is noted, suppressed or known.")
    ] = False,
    exit_zero: Annotated[
        bool,
        typer.Option("--exit-zero", help="Exit 0 whatever is found, for steps that only upload the report."),
    ] = False,
) -> int:
    """Find where a code base loads, fetches or serves models past the gate.

    Python, notebooks, requirements, Dockerfiles, YAML, JSON, TOML, shell, environment files, Makefiles and
    Jenkinsfiles are read, never imported or run. The signed index and the log, where there are any, say which
    models are admitted, revoked or superseded, and the line to write instead is printed. Exit status 2:
    something was found, or could not be told.

    One line is allowed by a comment with rule, expiry and reason, on it or above it:
    # registry-gate: allow hub-load until=2027-01-31 reason="why this is right"
    """
    from registry_gate.enforce.audit.audit import audit as audit_paths

    check_output(output)
    check_output(write_baseline)
    known = _baseline(baseline)
    with progress_bars() as progress:
        report = audit_paths(paths, rulebook(policy, fail_on, known, exclude), progress)
    if not report.files and not report.notes:
        raise UsageError(
            "nothing-to-audit",
            "no file of a kind that is read was found",
            why="nothing was looked at, and that must not read as 'all is well'",
            todo="name the folder of the code base",
        )
    status = 2 if report.open and not exit_zero else 0
    emit(_shown(report, format_, show_all, status), output)
    if write_baseline is not None:
        from registry_gate.enforce.audit.baseline import of_findings

        emit(of_findings(report.findings).model_dump_json(indent=2) + "\n", write_baseline)
        return 0
    return status


def rulebook(policy: str, fail_on: Severity, known: Baseline, exclude: list[str] | None) -> Rulebook:
    """What to judge by: this user's index and log, and the policy's list of names."""
    from registry_gate import settings
    from registry_gate.enforce.audit.audit import Rulebook
    from registry_gate.enforce.audit.standing import read_ledger
    from registry_gate.policy import load_policy

    ledger = read_ledger(settings.load())
    return Rulebook(ledger, load_policy(policy).protected, fail_on, known, tuple(exclude or ()))


def _baseline(path: Path | None) -> Baseline:
    from registry_gate.enforce.audit.baseline import NO_DEBT, read_baseline

    return read_baseline(path) if path else NO_DEBT


def _shown(report: AuditReport, format_: AuditFormat, show_all: bool, status: int) -> str:
    from registry_gate.enforce.audit.render import as_sarif, as_text

    if format_ is AuditFormat.JSON:
        return report.model_dump_json(indent=2) + "\n"
    return as_sarif(report, status) if format_ is AuditFormat.SARIF else as_text(report, show_all=show_all)
