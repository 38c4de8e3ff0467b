"""A private folder for one walk down the corridor, and a lock: one admission of a model at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry_gate.errors import ToolError
from registry_gate.leftovers import gather
from registry_gate.progress import Progress
from registry_gate.settings import Settings

KEPT_DAYS = 7
_RUN = "+run-"
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


@contextmanager
def open_workspace(settings: Settings, name: str, progress: Progress) -> Iterator[Path]:
    """Yield a private (0700) folder, alone for this registered name; it is gone afterwards.

    A second admission of the same name waits for the first (``progress("waiting", 0, 1)``). What killed runs
    of this name left is gathered in it (:mod:`registry_gate.leftovers`): whoever holds the lock is the only
    one who uses it. What was left under other names is deleted once it is ``KEPT_DAYS`` old.

    Raises:
        ToolError: ``no-workspace``.
    """
    try:
        for private in (settings.home, settings.work):
            private.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(settings.work / f"{name}.lock", progress):
            _forget_others(settings.work, name)
            # No id holds a "+", so no model's folders can be taken for the leftovers of another.
            leftovers = list(settings.work.glob(f"{name}{_RUN}*"))
            folder = Path(tempfile.mkdtemp(prefix=name + _RUN, dir=settings.work))
            try:
                for leftover in leftovers:
                    gather(leftover, folder)
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
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
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


def _forget_others(work: Path, name: str) -> None:
    """Delete what killed runs of other names left long ago; a run that goes on holds its lock."""
    for leftover in work.glob(f"*{_RUN}*"):
        other = leftover.name.rpartition(_RUN)[0]
        if other != name and leftover.lstat().st_mtime < time.time() - KEPT_DAYS * 86_400:
            descriptor = os.open(work / f"{other}.lock", os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(leftover, ignore_errors=True)
            except BlockingIOError:
                continue
            finally:
                os.close(descriptor)
