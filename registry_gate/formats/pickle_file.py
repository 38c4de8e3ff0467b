"""Read files that are pickle streams themselves: raw pickles, several in a row, and torch's legacy form."""

from __future__ import annotations

import mmap
from pathlib import Path

from registry_gate.evidence import FileFacts, FileFormat, PickleFacts, Problem
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.opcodes import Buffer
from registry_gate.formats.pickle_program import interpret

_LEGACY_PICKLES = 5  # magic, protocol, system facts, the object, the storage keys; then raw storages


def read_pickles(path: Path, relative: str, format_: FileFormat, limits: ReaderLimits) -> FileFacts:
    """Describe every pickle stream of a file.

    Args:
        path: the file.
        relative: its path inside the candidate.
        format_: ``PICKLE`` or ``TORCH_LEGACY``, whose storages follow its five pickles.
        limits: bounds of the reader.
    """
    size = path.stat().st_size
    legacy = format_ is FileFormat.TORCH_LEGACY
    code = "other-weights-left-behind" if legacy else "format-not-allowed"
    kind = "torch's legacy format" if legacy else "a pickle"
    problems = [Problem(code=code, detail=f"{kind}; save the weights as safetensors instead")]
    pickles: list[PickleFacts] = []
    if not legacy and size > limits.max_pickle_bytes:
        problems.append(Problem(code="pickle-not-understood", detail=f"{size} bytes, more than are read"))
    else:
        with path.open("rb") as file:
            window = min(size, limits.max_pickle_bytes)
            with mmap.mmap(file.fileno(), window, access=mmap.ACCESS_READ) as data:
                _streams(data, legacy, limits, pickles, problems)
    return FileFacts(
        path=relative,
        format=format_,
        reader="pickle",
        understood=False,
        problems=tuple(problems[: limits.max_problems]),
        pickles=tuple(pickles),
    )


def _streams(
    data: Buffer, legacy: bool, limits: ReaderLimits, pickles: list[PickleFacts], problems: list[Problem]
) -> None:
    """Interpret stream after stream until the file ends, five pickles are read, or one is not understood."""
    at, count = 0, 0
    while at < len(data) and not (legacy and count == _LEGACY_PICKLES):
        if count >= limits.max_pickles:
            problems.append(Problem(code="pickle-not-understood", detail="too many pickles in one file"))
            return
        program = interpret(data, limits, start=at)
        if count and not program.complete and not program.calls:
            detail = f"{len(data) - at} bytes follow the end of the pickle"
            problems.append(Problem(code="pickle-trailing-bytes", detail=detail, offset=at))
            pickles += program.pickles if program.imports else ()
            return
        pickles += program.pickles
        problems += program.problems
        count += 1
        at = program.end
        if not program.complete:
            return
    if legacy and count < _LEGACY_PICKLES:
        problems.append(
            Problem(code="pickle-not-understood", detail=f"{count} pickles where torch writes five")
        )
    elif count > 1 and not legacy:
        problems.append(Problem(code="pickle-several", detail=f"{count} pickles in one file"))
