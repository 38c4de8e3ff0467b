"""What the guard refuses: the exception, and the event that is kept of it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import FrameType

from registry_gate.errors import Refused

_NEXT_STEP = {
    "guard-pickle": "load the model with load_verified; for a class of your own, allow it by name "
    "(REGISTRY_GATE_GUARD_ALLOW=module:Name)",
    "guard-download": "admit the model (registry-gate admit) and load it with load_verified",
    "guard-unverified-file": "load it with load_verified, or name the folder that holds pulled Releases "
    "(REGISTRY_GATE_GUARD_FOLDERS)",
    "guard-remote-code": "use a model whose class the library defines",
    "guard-command": "admit the model (registry-gate admit) and copy it with registry-gate pull",
}
CODES = tuple(_NEXT_STEP)
"""Every code of a refusal."""


class GuardRefused(Refused):
    """The guard stopped a load that goes round the road; ``event`` is what was kept of it."""

    def __init__(self, event: Event) -> None:
        super().__init__(
            event.code,
            f"{event.subject}: {event.detail}" if event.detail else event.subject,
            why="this process loads only what the gate has admitted",
            todo=_NEXT_STEP[event.code],
        )
        self.event = event


@dataclass(frozen=True)
class Event:
    """One refusal. ``hook`` is Python's name of the audited event; ``where`` the line that led to it."""

    code: str
    hook: str
    subject: str
    detail: str
    where: str
    refused: bool
    pid: int
    time: float

    def line(self) -> str:
        """One line of JSON, ASCII only, so that no name can drive the terminal that shows it."""
        return json.dumps(asdict(self), sort_keys=True)


Sink = Callable[[Event], None]


def to_standard_error(event: Event) -> None:
    """Write the event to standard error, past whatever replaced ``sys.stderr``."""
    _write(2, event)


def to_file(path: str) -> Sink:
    """A sink that appends to a file; each line in one write, so that processes can share it."""

    def sink(event: Event) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _write(descriptor, event)
        finally:
            os.close(descriptor)

    return sink


def _write(descriptor: int, event: Event) -> None:
    os.write(descriptor, (event.line() + "\n").encode("ascii"))


def make_event(code: str, hook: str, subject: str, detail: str, *, refused: bool) -> Event:
    """An event of now, with the nearest line of the program outside the guard and the import system."""
    return Event(
        code, hook, subject[:300], detail[:300], _where(), refused, os.getpid(), round(time.time(), 3)
    )


def _where() -> str:
    here = os.path.dirname(__file__)  # noqa: PTH120 - no pathlib at start
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((here, "<frozen")):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return "<start>"
