"""``registry-gate triage``: the weights of a local file or folder, measured and compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry_gate.cli.admit import Output, PolicyName
from registry_gate.cli.show import Format, emit, progress_bars

if TYPE_CHECKING:
    from registry_gate.triage import Triage

_SHOWN = 30


def triage(
    path: Annotated[Path, typer.Argument(help="A checkpoint, or a folder of one model.")],
    reference: Annotated[
        Path | None, typer.Option(metavar="FINGERPRINT", help="Compare with an earlier model's fingerprint.")
    ] = None,
    write_fingerprint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the fingerprint of these weights.")
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="auto|cpu|cuda",
            help="What takes the statistics. auto: a GPU, where one is there, for 1 GiB of weights or more; "
            "the report says which it was, and why.",
        ),
    ] = "auto",
    policy: PolicyName = "default",
    format_: Annotated[Format, typer.Option("--format", help="text or json.")] = Format.TEXT,
    output: Output = None,
) -> int:
    """Measure every tensor of a file or folder in one pass, and say what looks wrong or has changed.

    Nothing is loaded, converted or signed. Exit status 0: measured, nothing found, nothing changed; 2: a
    finding, a change beyond the noise of fine-tuning, or weights that could not be measured.
    """
    from registry_gate.policy import load_policy
    from registry_gate.triage import triage as examine
    from registry_gate.weights import fingerprint as prints

    known = prints.read_fingerprint(reference) if reference else None
    with progress_bars() as progress:
        report, found = examine(path, load_policy(policy), known, progress, device)
    if write_fingerprint and found:
        prints.write_fingerprint(found, write_fingerprint)
    text = report.canonical().decode() + "\n" if format_ is Format.JSON else _text(report)
    emit(text, output)
    return 0 if report.clean else 2


def _text(report: Triage) -> str:
    from registry_gate.report.escape import for_terminal

    seen = f"{report.tensors} tensors, {report.elements} elements, {report.bytes} bytes"
    lines = [f"{report.path}: {seen} in {report.seconds:.1f} s"]
    if report.device != "cpu":
        lines.append(f"statistics taken on: {report.device}")
    if not report.tensors:
        lines.append("no tensor was measured: that is not a clean result")
    lines += [f"not measured: {path}: {why}" for path, why in report.unread[:_SHOWN]]
    for result in report.results:
        lines += [f"{item.severity.value}: {item.rule}: {item.message}" for item in result.findings]
        if result.reason:
            lines.append(f"{result.name}: {result.status.value}: {result.reason}")
    lines += _drift_lines(report)
    lines.append("nothing found" if report.clean else "look at this before you use it")
    return "".join(for_terminal(line) + "\n" for line in lines)


def _drift_lines(report: Triage) -> list[str]:
    if report.drift is None:
        return []
    if not report.drift:
        return ["no change beyond the noise of fine-tuning"]
    lines = [
        f"changed: {item.tensor[:150]!r}: {item.kind}: {item.detail} "
        f"({item.value:.3g}, limit {item.limit:.3g})"
        for item in report.drift[:_SHOWN]
    ]
    more = len(report.drift) - _SHOWN
    return [*lines, f"and {more} more changes"] if more > 0 else lines
