"""``registry-gate drift`` and ``registry-gate predictions``: what a model answered, afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry_gate.cli.admit import Output
from registry_gate.cli.show import Format, emit
from registry_gate.cli.verify import OutputFormat

if TYPE_CHECKING:
    from registry_gate.runtime.drift import Drift

PredictionLogFile = Annotated[
    Path,
    typer.Argument(
        metavar="LOG", help="The .jsonl that is written to; rotated files beside it are read too."
    ),
]


def drift(
    log: PredictionLogFile,
    baseline: Annotated[
        Path | None, typer.Option(help="Class counts to compare with, written by --write-baseline.")
    ] = None,
    write_baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Count this log as ordinary, and write the counts.")
    ] = None,
    window: Annotated[
        int, typer.Option(min=20, max=1_000_000, help="Predictions a window, for surges of one class.")
    ] = 200,
    format_: OutputFormat = Format.TEXT,
    output: Output = None,
) -> int:
    """Compare what a model answers now with what it answered when all was well.

    A backdoor that is being used shows as a class that surges; an honest change of what people ask shows as
    well, so a finding is a reason to look (`registry-gate predictions LOG --label X`), not a verdict. Exit
    status 2 where something changed, 1 where too little is there to tell.
    """
    from registry_gate.errors import UsageError
    from registry_gate.runtime.drift import baseline_of, measure, read_baseline
    from registry_gate.runtime.predictions import Reading

    if (baseline is None) == (write_baseline is None):
        raise UsageError("no-baseline", "give one of --baseline and --write-baseline")
    reading = Reading(log)
    if write_baseline is not None:
        counted = baseline_of(reading)
        emit(counted.model_dump_json(indent=2) + "\n", write_baseline)
        emit(f"{counted.total} predictions of {len(counted.counts)} classes counted\n", output)
        return 0
    measured = measure(reading, read_baseline(baseline or Path()), window)
    said = {**measured.model_dump(mode="json"), "unreadable": reading.unreadable}
    emit(
        json.dumps(said, indent=2) + "\n" if format_ is Format.JSON else _text(measured, reading.unreadable),
        output,
    )
    return 2 if measured.findings else 0


def _text(measured: Drift, unreadable: int) -> str:
    from registry_gate.report.escape import for_terminal

    numbers = f"chi-square {measured.chi_square:.1f}, p {measured.p_value:.2g}, PSI {measured.psi:.3f}"
    lines = [
        f"{measured.predictions} predictions; {numbers}",
        f"{measured.unlabelled} name no class, {unreadable} lines are unreadable",
        *(f"{item.severity.value}: {item.rule}: {item.message}" for item in measured.findings),
    ]
    if not measured.findings:
        lines.append("no drift found")
    return "".join(for_terminal(line) + "\n" for line in lines)


def predictions(
    log: PredictionLogFile,
    label: Annotated[str | None, typer.Option(help="Only those that answered this class.")] = None,
    input_hash: Annotated[
        str | None, typer.Option(metavar="HEX", help="Only inputs whose keyed hash begins so.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Stop after this many.")] = 1000,
    output: Output = None,
) -> int:
    """Search a prediction log: which inputs led to this class, when was this input asked?

    Prints the lines found as JSON. Exit status 2 where something matched, as for every search of ours that
    finds.
    """
    from itertools import islice

    from registry_gate.runtime.predictions import Reading, matches

    found = islice((item for item in Reading(log) if matches(item, label, input_hash)), limit)
    # ASCII, so that no input or label can drive the terminal that shows it.
    lines = [json.dumps(item.model_dump(mode="json", exclude_none=True)) + "\n" for item in found]
    emit("".join(lines), output)
    return 2 if lines else 0
