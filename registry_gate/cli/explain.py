"""``registry-gate explain``: why it was decided so, what would have altered it; or what a rule means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry_gate.cli.show import Format, emit
from registry_gate.errors import UsageError

if TYPE_CHECKING:
    from registry_gate.explanation import Explanation, RuleExplanation


def explain(
    what: Annotated[
        str,
        typer.Argument(
            metavar="NUMBER|FOLDER|RULE",
            help="A sequence number of the log, a report's folder (or its report.json), or a rule's id.",
        ),
    ],
    policy: Annotated[
        str | None, typer.Option(help="For a rule: a policy of your own, beside the shipped ones.")
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="text or json.")] = Format.TEXT,
) -> None:
    """Explain a decision: each reason back to rule, evidence and limit, and what would alter it.

    Nothing is fetched and nothing changes: the stored evidence is decided on again with one thing different,
    and what is printed was tried. Exit status 0 says that it was explained, whatever the verdict was.

    Examples: `registry-gate explain 12`, `registry-gate explain name-typosquat`.
    """
    if _is_record(what):
        found = _decision(what)
        emit(_as_json(found) if format_ is Format.JSON else _decision_text(found), None)
    else:
        rule = _rule(what, policy)
        emit(_as_json(rule) if format_ is Format.JSON else _rule_text(rule), None)


def _is_record(what: str) -> bool:
    return (what.isascii() and what.isdigit()) or "/" in what or Path(what).exists()


def _decision(what: str) -> Explanation:
    from registry_gate import archive, settings
    from registry_gate.explanation import explain_decision

    if what.isdigit():
        folder = archive.folder_by_sequence(settings.load(), int(what))
    else:
        folder = Path(what).parent if Path(what).is_file() else Path(what)
    filed, policy = archive.open_folder(folder)
    return explain_decision(filed.evidence, filed.decision, policy)


def _rule(what: str, own: str | None) -> RuleExplanation:
    from difflib import get_close_matches

    from registry_gate.checks import RULES
    from registry_gate.explanation import explain_rule
    from registry_gate.policy import SHIPPED, load_policy

    policies = tuple(load_policy(name) for name in (*SHIPPED, *([own] if own else ())))
    found = explain_rule(what, policies)
    if found is None:
        near = ", ".join(get_close_matches(what, RULES, 3)) or "see the rule ids in a report"
        raise UsageError("unknown-rule", f"no check has a rule {what[:100]!r}", todo=f"did you mean: {near}")
    return found


def _as_json(found: Explanation | RuleExplanation) -> str:
    return found.model_dump_json(indent=2) + "\n"


def _rule_text(found: RuleExplanation) -> str:
    rule = found.rule
    lines = [
        f"{rule.id}: {rule.title}",
        f"  found by   {found.check}, at stage {found.stage}; severity {rule.severity.value}",
        f"  means      {rule.help}",
    ]
    for told in found.treatments:
        by = ", ".join(f"{level.value} {wanted.value}" for level, wanted in told.by_confidence.items())
        own = f" (the policy's own word: {told.because or 'no reason given'})" if told.override else ""
        lines.append(f"  {told.policy:<10} by confidence: {by}{own}")
    return "".join(f"{line}\n" for line in lines)


def _decision_text(found: Explanation) -> str:
    from registry_gate.report.escape import for_terminal

    lines = [f"{found.verdict.value.upper()} under policy {found.policy}"]
    if not found.traces:
        lines.append("no reason speaks against it")
    for trace in found.traces:
        lines += ["", f"{trace.verdict.value}  {trace.code}: {trace.message}"]
        lines.append(f"  because    {trace.because}")
        if trace.check:
            lines.append(f"  found by   {trace.check}")
        if trace.limits:
            limits = ", ".join(f"{name} {value:g}" for name, value in trace.limits.items())
            lines.append(f"  limits     {limits}")
        if trace.measured:
            numbers = ", ".join(f"{name} {value:.4g}" for name, value in trace.measured.items())
            lines.append(f"  measured   {numbers}")
        if trace.waived_by:
            lines.append(f"  waived by  {trace.waived_by}")
    lines += ["", "What would alter it"]
    lines += [f"  {change.verdict.value:<7} {change.what}" for change in found.changes]
    if not found.changes:
        lines.append("  nothing that can be tried on the stored evidence alone")
    if found.today is not found.verdict:
        lines.append(f"  {found.today.value:<7} today's checks, judging the same evidence again")
    return "".join(f"{for_terminal(line)}\n" for line in lines)
