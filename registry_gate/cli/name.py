"""``registry-gate name``: the name check alone, offline, for one id or for a stream of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Annotated, BinaryIO

import typer

from registry_gate.checks.repo_name import findings_of
from registry_gate.cli.show import Format
from registry_gate.decision import Verdict, disposition
from registry_gate.errors import UsageError
from registry_gate.finding import Finding
from registry_gate.names import assess
from registry_gate.policy import Disposition, Policy, load_policy
from registry_gate.record import Record
from registry_gate.report.escape import for_terminal

_MAX_LINE = 4096
_MAX_SHOWN = 120
_STANDARD_INPUT = "-"
_VERDICTS = {
    Disposition.ALLOW: Verdict.ADMIT,
    Disposition.REVIEW: Verdict.REVIEW,
    Disposition.REJECT: Verdict.REJECT,
}
_COLOURS = {Verdict.ADMIT: "green", Verdict.REVIEW: "yellow", Verdict.REJECT: "red"}


class NameVerdict(Record):
    """What the policy makes of one name; ``findings`` explain the verdict."""

    name: str
    verdict: Verdict
    imitates: str | None
    rules: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


def judge(model_id: str, policy: Policy) -> NameVerdict:
    """Judge one id under a policy; any text gets a verdict, what is no id gets ``reject``."""
    assessment = assess(model_id, policy.protected)
    findings = findings_of(assessment)
    reached = [_VERDICTS[disposition(finding, policy)] for finding in findings]
    return NameVerdict(
        name=assessment.model_id,
        verdict=max(reached, key=list(Verdict).index, default=Verdict.ADMIT),
        imitates=assessment.imitates,
        rules=assessment.rules,
        findings=tuple(findings),
    )


def name(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Ids to check; none or '-' reads one a line from standard input."),
    ] = None,
    policy: Annotated[str, typer.Option("--policy", help="A shipped policy's name or a file.")] = "default",
    fmt: Annotated[Format, typer.Option("--format", help="How results are printed.")] = Format.TEXT,
) -> None:
    """Check names only, offline: is this id what it says, or a look-alike of one that people trust?

    Exit status 0 when every name may pass, 2 when any needs review or is rejected.

    Raises:
        UsageError: ``no-names`` when no name was given, ``bad-policy``.
    """
    rules = load_policy(policy)
    show = _as_json if fmt is Format.JSON else _Lines().show
    worst: Verdict | None = None
    for model_id in _asked(names or [_STANDARD_INPUT]):
        result = judge(model_id, rules)
        show(result)
        worst = result.verdict if worst is None else max(worst, result.verdict, key=list(Verdict).index)
    if worst is None:
        raise UsageError(
            "no-names",
            "no name was given",
            why="nothing was checked, and that must not read as 'all names are fine'",
            todo="give names as arguments, or one a line on standard input",
        )
    if worst is not Verdict.ADMIT:
        raise typer.Exit(code=2)


def _asked(names: list[str]) -> Iterator[str]:
    for item in names:
        if item == _STANDARD_INPUT:
            yield from _lines(sys.stdin.buffer)
        else:
            yield item


def _lines(stream: BinaryIO) -> Iterator[str]:
    """Ids of a stream, one a line, in bounded memory: an overlong line yields its beginning, no id either."""
    while line := stream.readline(_MAX_LINE):
        rest = line
        while len(rest) == _MAX_LINE and not rest.endswith(b"\n"):
            rest = stream.readline(_MAX_LINE)
        text = line.decode("utf-8", errors="replace").removeprefix("\ufeff").strip()
        if text and not text.startswith("#"):
            yield text


def _as_json(result: NameVerdict) -> None:
    fields = {
        "name": result.name,
        "verdict": result.verdict.value,
        "imitates": result.imitates,
        "rules": result.rules,
    }
    # Escaped to ASCII, so that no name can drive the terminal that shows it; lone surrogates stay escapes.
    sys.stdout.write(json.dumps(fields) + "\n")


class _Lines:
    """One line a name on a terminal or pipe; colour only where the terminal takes it."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False, soft_wrap=True)

    def show(self, result: NameVerdict) -> None:
        from rich.text import Text

        line = Text(f"{result.verdict.value:<7} ", style=_COLOURS[result.verdict])
        line.append(for_terminal(result.name, _MAX_SHOWN), style="bold")
        for finding in result.findings:
            line.append(f"  {finding.rule}: {finding.message}", style="default")
        self._console.print(line)
