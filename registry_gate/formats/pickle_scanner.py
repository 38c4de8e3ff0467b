"""picklescan as a second opinion, called inside the confined child.

It blocks a list of names, keeps what it reads in memory (see :mod:`registry_gate.formats.elided`), and calls
what it cannot parse clean; so anything it only logs counts as an error here, never as a clean answer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from registry_gate.evidence import FileFormat, ScannerFacts
from registry_gate.formats.elided import Elided
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.shown import shown

SCANNED = frozenset(
    {
        FileFormat.TORCH_ZIP,
        FileFormat.TORCH_LEGACY,
        FileFormat.TORCHSCRIPT,
        FileFormat.PICKLE,
        FileFormat.ZIP,
        FileFormat.NUMPY,
    }
)
_IN_MEMORY = frozenset({FileFormat.TORCH_LEGACY, FileFormat.PICKLE})
_FAILURES = ("could not parse", "Invalid file", "ERROR: parsing")
_MAX_NAMES = 500
_FACTOR = 4  # single bytes that picklescan reads an instruction, at most


def scan(path: Path, relative: str, format_: FileFormat, limits: ReaderLimits) -> ScannerFacts | None:
    """Ask picklescan about a file that may hold pickles; None for formats that hold none.

    Args:
        path: the file.
        relative: its path inside the candidate; picklescan chooses its reader by the extension.
        format_: what the file is by content.
        limits: how large a pickle picklescan may be given.
    """
    if format_ not in SCANNED:
        return None
    try:
        import picklescan
        from picklescan.scanner import SafetyLevel, scan_bytes
    except ImportError:
        return ScannerFacts(scanner="picklescan", status="error", detail="picklescan is not installed")
    name = f"picklescan {getattr(picklescan, '__version__', '')}".strip()
    size = path.stat().st_size
    if format_ in _IN_MEMORY and size > limits.max_scanner_bytes:
        return ScannerFacts(scanner=name, status="error", detail="larger than the scanner is given")
    with _overheard() as messages, path.open("rb") as file:
        given = Elided(file, size, _FACTOR * limits.max_pickle_opcodes) if format_ in _IN_MEMORY else file
        try:
            result = scan_bytes(given, "file", PurePosixPath(relative.lower()).suffix)
        except Exception as error:  # it raises bare Exception and whatever its parsers raise
            return ScannerFacts(scanner=name, status="error", detail=shown(repr(error)))
    failures = [text for text in messages if _is_failure(text)]
    failed = result.scan_err or not result.scanned_files or failures
    return ScannerFacts(
        scanner=name,
        status="error" if failed else "complete",
        dangerous=_names(result.globals, SafetyLevel.Dangerous),
        suspicious=_names(result.globals, SafetyLevel.Suspicious),
        detail=shown(failures[0] if failures else "nothing was scanned" if failed else ""),
    )


def _names(found: list[Any], level: object) -> tuple[str, ...]:
    """``module.name`` of the globals of one safety level, sorted: picklescan holds them in a set."""
    names = {shown(f"{item.module}.{item.name}", 1100) for item in found if item.safety is level}
    return tuple(sorted(names)[:_MAX_NAMES])


def _is_failure(text: str) -> bool:
    """Tensor data may begin like a pickle; that it is none is no failure."""
    if ":" in text and "/data/" in text and "could not parse" in text and ".pkl" not in text:
        return False
    return any(mark in text for mark in _FAILURES)


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """Collect what picklescan logs, and keep it off the child's standard error."""
    messages: list[str] = []

    def hear(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING and len(messages) < _MAX_NAMES:
            messages.append(record.getMessage())
        return False

    logger = logging.getLogger("picklescan")
    logger.addFilter(hear)
    try:
        yield messages
    finally:
        logger.removeFilter(hear)
