"""``registry-gate serving-audit``: what the settings of model servers leave open."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry_gate.cli.admit import Output
from registry_gate.cli.show import check_output, emit
from registry_gate.finding import Severity

if TYPE_CHECKING:
    from registry_gate.finding import Finding


class AuditFormat(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def serving_audit(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="config.pbtxt, config.properties, Kubernetes, KServe, compose or vLLM YAML, Dockerfiles.",
        ),
    ],
    least: Annotated[
        Severity, typer.Option("--least", help="Leave findings below this severity out.")
    ] = Severity.INFO,
    format_: Annotated[
        AuditFormat, typer.Option("--format", help="text, json, or sarif for code scanning.")
    ] = (AuditFormat.TEXT),
    output: Output = None,
) -> int:
    """Look for what the settings of Triton, vLLM, TorchServe and KServe leave open.

    Unbounded batches, inputs and queues, missing authentication, models that can be replaced at run time,
    code and pickles that come with a model, models that are not pinned. What cannot be told from a file is a
    finding too. Exit status 2 where anything is found.
    """
    from registry_gate.enforce.serving import audit_files

    check_output(output)
    found = [item for item in audit_files(tuple(files)) if item.severity.rank >= least.rank]
    code = 2 if found else 0
    if format_ is AuditFormat.SARIF:
        text = _sarif(found, code)
    elif format_ is AuditFormat.JSON:
        text = json.dumps([item.model_dump(mode="json") for item in found], indent=2) + "\n"
    else:
        text = _text(found, len(files))
    emit(text, output)
    return code


def _text(found: Sequence[Finding], files: int) -> str:
    from registry_gate.enforce.serving import RULES
    from registry_gate.report.escape import for_terminal

    lines = []
    for item in found:
        place = f"{item.location.file}: {item.location.field or 'the file'}"
        lines.append(f"{item.severity.value:<8} {item.rule}  {place}: {item.message}")
    lines += [f"{rule}: {RULES[rule].help}" for rule in dict.fromkeys(item.rule for item in found)]
    lines.append(f"{len(found)} findings in {files} files" if found else f"nothing found in {files} files")
    return "".join(for_terminal(line, 500) + "\n" for line in lines)


def _sarif(found: Sequence[Finding], code: int) -> str:
    from registry_gate.enforce.serving import RULES
    from registry_gate.report.sarif_log import Place, Result, sarif_log

    results = [
        Result(
            rule=RULES[item.rule],
            severity=item.severity,
            message=item.message,
            place=Place(
                file=item.location.file or "",
                inside=(("member", item.location.field),) if item.location.field else (),
            ),
        )
        for item in found
    ]
    return sarif_log(results, command="serving-audit", subject="settings", exit_code=code)
