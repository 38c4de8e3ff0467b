"""The parent's end of the three pipes to a confined child: bounded, timed, strictly parsed."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import IO

from pydantic import ValidationError

from registry_gate.evidence import SandboxReport
from registry_gate.examine.confinement import PROTOCOL
from registry_gate.examine.proof import GUARANTEES
from registry_gate.progress import Progress

MAX_ANSWER = 256 << 20
_MAX_REPORT = 4096
_MAX_SAID = 16384
_MAX_LINE = 1024
_CHUNK = 1 << 18
_PROGRESS = re.compile(rb"@progress ([a-z][a-z0-9 -]{0,31}) ([0-9]{1,18}) ([0-9]{1,18})")


class Ended(Enum):
    """Why the parent stopped listening."""

    CLOSED = "the child closed its pipes"
    TOO_LATE = "the time was over"
    NONSENSE = "the child said what the protocol does not know"
    LEAKS = "a guarantee did not hold"


@dataclass(frozen=True)
class Spoken:
    """What a child said. ``status`` as subprocess gives it; ``said`` the end of its stderr; not trusted."""

    ended: Ended
    status: int
    reason: str
    report: SandboxReport | None
    answer: bytes
    said: str


@dataclass
class Conversation:
    """One exchange: the report, then the request, then the answer, while stderr is drained."""

    process: subprocess.Popen[bytes]
    request: bytes
    seconds: float
    progress: Progress
    report: SandboxReport | None = None
    ended: Ended | None = None
    reason: str = ""
    _sent: int = 0
    _answer: bytearray = field(default_factory=bytearray)
    _line: bytearray = field(default_factory=bytearray)
    _said: bytearray = field(default_factory=bytearray)

    def hold(self) -> Spoken:
        """Talk until the child has closed its pipes, broken the protocol or used up its time."""
        deadline = time.monotonic() + self.seconds
        with selectors.DefaultSelector() as selector:
            for pipe, read in ((self.process.stdout, self._hear), (self.process.stderr, self._overhear)):
                _watch(selector, pipe, selectors.EVENT_READ, read)
            while self.ended is None and selector.get_map():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready and time.monotonic() >= deadline:
                    self.ended = Ended.TOO_LATE
                for key, _ in ready:
                    key.data(selector, key.fileobj)
        return self._finish(deadline)

    def _finish(self, deadline: float) -> Spoken:
        if self.ended is None:
            try:
                self.process.wait(max(0.5, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.ended = Ended.TOO_LATE
        status = self.process.poll()
        return Spoken(
            ended=self.ended or Ended.CLOSED,
            status=0 if status is None else status,
            reason=self.reason,
            report=self.report,
            answer=bytes(self._answer),
            said=(self._said + self._line).decode(errors="replace"),
        )

    def _hear(self, selector: selectors.BaseSelector, pipe: IO[bytes]) -> None:
        """Standard output: the report's line, then the answer."""
        chunk = os.read(pipe.fileno(), _CHUNK)
        if not chunk:
            selector.unregister(pipe)
            return
        self._answer += chunk
        if self.report is None:
            self._read_report(selector)
        elif len(self._answer) > MAX_ANSWER:
            self._stop(Ended.NONSENSE, f"its answer is longer than {MAX_ANSWER} bytes")

    def _read_report(self, selector: selectors.BaseSelector) -> None:
        line, newline, rest = self._answer.partition(b"\n")
        if len(line) > _MAX_REPORT or (newline and not line.startswith(PROTOCOL)):
            self._stop(Ended.NONSENSE, "it does not begin with a report of its confinement")
        elif newline:
            self._accept(bytes(line.removeprefix(PROTOCOL)), selector)
            self._answer = rest

    def _accept(self, line: bytes, selector: selectors.BaseSelector) -> None:
        try:
            report = SandboxReport.from_json(line)
        except ValidationError:
            self._stop(Ended.NONSENSE, "its report of the confinement is not one")
            return
        missing = sorted(set(GUARANTEES) - set(report.guarantees))
        if missing:
            self._stop(Ended.LEAKS, f"these guarantees do not hold here: {', '.join(missing)}")
            return
        self.report = report
        _watch(selector, self.process.stdin, selectors.EVENT_WRITE, self._ask)

    def _ask(self, selector: selectors.BaseSelector, pipe: IO[bytes]) -> None:
        """Standard input: the request; a child that does not want it may close the pipe."""
        try:
            self._sent += os.write(pipe.fileno(), self.request[self._sent : self._sent + _CHUNK])
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._sent = len(self.request)
        if self._sent >= len(self.request):
            selector.unregister(pipe)
            pipe.close()

    def _overhear(self, selector: selectors.BaseSelector, pipe: IO[bytes]) -> None:
        """Standard error: progress lines, and words kept for an error message."""
        chunk = os.read(pipe.fileno(), _CHUNK)
        if not chunk:
            selector.unregister(pipe)
            return
        *lines, last = (self._line + chunk).split(b"\n")
        for line in lines:
            self._note(line)
        self._line = last[-_MAX_LINE:]

    def _note(self, line: bytes | bytearray) -> None:
        match = _PROGRESS.fullmatch(line)
        if match is None:
            self._said = (self._said + line[:_MAX_LINE] + b"\n")[-_MAX_SAID:]
            return
        stage, done, total = match.groups()
        self.progress(stage.decode(), min(int(done), int(total)), int(total))

    def _stop(self, ended: Ended, reason: str) -> None:
        self.ended, self.reason = ended, reason


def _watch(selector: selectors.BaseSelector, pipe: IO[bytes] | None, event: int, handle: object) -> None:
    if pipe is not None:
        os.set_blocking(pipe.fileno(), False)
        selector.register(pipe, event, handle)
