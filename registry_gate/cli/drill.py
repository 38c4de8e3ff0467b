"""``registry-gate drill``: the whole attack, harmless, and what each control made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from registry_gate.cli.show import Format, emit, progress_bars
from registry_gate.errors import UsageError
from registry_gate.report.escape import for_terminal


def drill(
    stage: Annotated[
        list[str] | None, typer.Option(metavar="STAGE", help="Play this stage only; may be given again.")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="CONTROL", help="Do without this control; may be given again."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name the stages and the controls, and end.")] = False,
    format_: Annotated[
        Format, typer.Option("--format", help="text for people, json for programs.")
    ] = Format.TEXT,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also write report.md and report.json, the after-action report, here."
        ),
    ] = None,
) -> int:
    """Play attacker and defender through every control, in a throw-away world.

    A look-alike with a pickle that would write a marker file, weights with a trigger, a tutorial's mistaken
    link, a tampered registry, a stolen key, a serving process that reaches out: each is real, harmless, runs
    against a hub, keys, registry and index of the drill's own, and is put before each control on its road.
    Nothing of a candidate is executed, and your own registry is not touched. It takes a minute or two.

    Exit status 0: every stage was stopped, and caught by two independent controls or more. 2: one got
    through, only one control saw it, or something else was weak. 1: the drill could not be run.

    Examples: `registry-gate drill --output after-action`,
    `registry-gate drill --stage stolen-key --without index`.
    """
    from registry_gate.drill import json_document, markdown, run, text

    if list_:
        emit(_listed(), None)
        return 0
    if output is not None and output.exists() and not output.is_dir():
        raise UsageError("cannot-write-output", f"{str(output)[:200]} is no folder", todo="name a folder")
    with progress_bars() as progress:
        report = run.run_drill(tuple(stage or ()), frozenset(without or ()), progress)
    document = json_document.render(report)
    if output is not None:
        _write(output, {"report.json": document, "report.md": markdown.render(report)})
    emit(document if format_ is Format.JSON else text.render(report), None)
    return 0 if report.passed else 2


def _write(folder: Path, files: dict[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError("cannot-write-output", f"{str(folder)[:200]}: {error.strerror}") from error
    for name, data in files.items():
        emit(data, folder / name)


def _listed() -> str:
    from registry_gate.drill.catalogue import catalogue

    known = catalogue()
    lines = ["stages"]
    for entry in known.stages:
        lines += [f"  {entry.id:<17}{entry.title}", f"  {'':<17}  met by {', '.join(entry.controls)}"]
    lines.append("controls")
    lines += [f"  {control.id:<17}{control.title}; {control.when}" for control in known.controls]
    return "".join(f"{for_terminal(line)}\n" for line in lines)
