"""One line of a prediction log, and how lines are read back and searched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field, JsonValue, ValidationError

from registry_gate.candidate import Sha256
from registry_gate.errors import FetchError
from registry_gate.record import Record
from registry_gate.release import Digest

MAX_LINE = 1 << 20
"""Bytes a line may have; a longer one counts as unreadable."""


class Prediction(Record):
    """One question and its answer.

    ``input_hmac`` is HMAC-SHA256 of the input's bytes under the log's key: equal inputs have equal values,
    and who has no key cannot test guesses. ``input`` is there only where the log's policy keeps inputs.
    ``label`` is the class that was answered, None where the answer names none; ``output`` is left out where
    it is too large.
    """

    version: Literal[1] = 1
    at: AwareDatetime
    model: Digest
    input_hmac: Sha256
    input_size: int = Field(ge=0)
    input: str | None = None
    output: JsonValue = None
    output_sha256: Sha256
    label: str | None = None
    status: int | None = None


class Reading:
    """The lines of a log, oldest file first; ``unreadable`` counts, while they are read, what was no line."""

    def __init__(self, path: Path) -> None:
        self.files = log_files(path)
        self.unreadable = 0

    def __iter__(self) -> Iterator[Prediction]:
        for path in self.files:
            yield from self._of(path)

    def _of(self, path: Path) -> Iterator[Prediction]:
        try:
            with path.open("rb") as file:
                while line := file.readline(MAX_LINE):
                    whole = line.endswith(b"\n")
                    while not line.endswith(b"\n") and (line := file.readline(MAX_LINE)):
                        pass
                    try:
                        if not whole:
                            raise ValueError("an unfinished or overlong line")
                        yield Prediction.from_json(line)
                    except (ValidationError, ValueError):
                        self.unreadable += 1
        except OSError as error:
            raise FetchError("log-unreadable", f"{path}: {error.strerror}") from error


def log_files(path: Path) -> tuple[Path, ...]:
    """The rotated files of a log, oldest first, and the one being written.

    Raises:
        FetchError: ``no-prediction-log``: there is none.
    """
    rotated = sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"))
    found = (*rotated, path) if path.exists() else tuple(rotated)
    if not found:
        raise FetchError(
            "no-prediction-log",
            f"there is no prediction log at {path}",
            todo="name the file that is written to",
        )
    return found


def matches(prediction: Prediction, label: str | None, input_prefix: str | None) -> bool:
    """Whether a line answered this class, for an input whose HMAC begins so; None asks nothing."""
    return (label is None or prediction.label == label) and prediction.input_hmac.startswith(
        input_prefix or ""
    )
