"""``registry-gate name``: the name check alone, offline, for one id or for a stream of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, BinaryIO

import typer

from registry_gate.cli.show import Format
from registry_gate.errors import UsageError

_MAX_LINE = 4096
_STANDARD_INPUT = "-"


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
    from registry_gate.cli.name_verdict import Lines, as_json, judge
    from registry_gate.decision import Verdict
    from registry_gate.policy import load_policy

    rules = load_policy(policy)
    show = as_json if fmt is Format.JSON else Lines().show
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
