"""A private folder for one walk down the corridor, and a lock: one admission of a model at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry_gate.errors import ToolError
from registry_gate.progress import Progress
from registry_gate.settings import Settings


@contextmanager
def open_workspace(settings: Settings, name: str, progress: Progress) -> Iterator[Path]:
    """Yield an empty private (0700) folder, alone for this registered name; it is gone afterwards.

    A second admission of the same name waits for the first (``progress("waiting", 0, 1)``). Folders that
    killed runs left behind are deleted here: whoever holds the lock is the only one who uses them.

    Raises:
        ToolError: ``no-workspace``.
    """
    try:
        for private in (settings.home, settings.work):
            private.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(settings.work / f"{name}.lock", progress):
            # No id holds a "+", so no model's folders can be taken for the leftovers of another.
            for leftover in settings.work.glob(f"{name}+run-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            folder = Path(tempfile.mkdtemp(prefix=f"{name}+run-", dir=settings.work))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise ToolError(
            "no-workspace",
            f"{error.filename or settings.work}: {error.strerror or error}",
            why="the gate needs a private folder with room for two copies of the model",
            todo="free some space, or set REGISTRY_GATE_HOME to a folder that has it",
        ) from error


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting", 0, 1)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            progress("waiting", 1, 1)
        yield
    finally:
        os.close(descriptor)
