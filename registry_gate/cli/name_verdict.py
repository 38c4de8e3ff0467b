"""What ``registry-gate name`` says of one id, and how it is shown; imported by the command when it runs."""

from __future__ import annotations

import json
import sys

from registry_gate.checks.repo_name import findings_of
from registry_gate.decision import Verdict, disposition
from registry_gate.finding import Finding
from registry_gate.names import assess
from registry_gate.policy import Disposition, Policy
from registry_gate.record import Record
from registry_gate.report.escape import for_terminal

_MAX_SHOWN = 120
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


def as_json(result: NameVerdict) -> None:
    """One JSON object a line."""
    fields = {
        "name": result.name,
        "verdict": result.verdict.value,
        "imitates": result.imitates,
        "rules": result.rules,
    }
    # Escaped to ASCII, so that no name can drive the terminal that shows it; lone surrogates stay escapes.
    sys.stdout.write(json.dumps(fields) + "\n")


class Lines:
    """One line a name on a terminal or pipe; colour only where the terminal takes it."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False, soft_wrap=True)

    def show(self, result: NameVerdict) -> None:
        """Print one line."""
        from rich.text import Text

        line = Text(f"{result.verdict.value:<7} ", style=_COLOURS[result.verdict])
        line.append(for_terminal(result.name, _MAX_SHOWN), style="bold")
        for finding in result.findings:
            line.append(f"  {finding.rule}: {finding.message}", style="default")
        self._console.print(line)
