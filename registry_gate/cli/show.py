"""What commands share on the terminal: the formats, the progress bars, where a result goes."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from registry_gate.errors import UsageError
from registry_gate.progress import Progress, silent


class Format(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"


class ReportFormat(StrEnum):
    """How a report is printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    HTML = "html"


def colour_wanted() -> bool:
    """True where standard output is a terminal and ``NO_COLOR`` is not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def emit(text: str, output: Path | None) -> None:
    """Write a result to standard output, or whole to a file.

    Raises:
        UsageError: ``cannot-write-output``.
    """
    try:
        if output is None:
            sys.stdout.write(text)
            sys.stdout.flush()
        elif output.exists() and not output.is_file():
            output.write_text(text, encoding="utf-8")  # a pipe or /dev/null is written to, never replaced
        else:
            _write_whole(output, text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _cannot_write(output or "standard output", error.strerror) from error


def check_output(output: Path | None) -> None:
    """Refuse, before any work is done, a place where no result can be written.

    Raises:
        UsageError: ``cannot-write-output``.
    """
    if output is None:
        return
    try:
        if output.is_dir():
            raise _cannot_write(output, "it is a folder")
        if not output.exists():
            tempfile.TemporaryFile(dir=output.parent).close()
    except OSError as error:
        raise _cannot_write(output, error.strerror) from error


def _write_whole(output: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name[:100]}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(output)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _cannot_write(output: Path | str, detail: str | None) -> UsageError:
    return UsageError(
        "cannot-write-output",
        f"{str(output)[:200]}: {detail}",
        todo="name another file with --output, or make room; the decision, if there is one, is in the log",
    )


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Bars on standard error for each stage while work goes on; silent where that is no terminal."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Bars(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total or 1)
            bars.update(tasks[stage], completed=done, total=total or 1)

        yield advance
