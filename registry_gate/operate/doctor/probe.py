"""What a probe is, what it may ask of the installation, and how an error it meets is read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from registry_gate.errors import Error, Refused, UsageError
from registry_gate.policy import Policy, load_policy
from registry_gate.self_test import ProbeResult, ProbeState
from registry_gate.settings import Settings
from registry_gate.signing.trust import Trust, effective_trust

_TEXT = 1000
_NOT_SET_UP = frozenset({"no-trust", "no-signing-key", "no-log-key"})
_ELSEWHERE = {
    "bad-policy": "policy",
    "bad-trust": "trust-file",
    "trust-conflict": "trust-file",
    "no-sandbox": "sandbox-available",
}
"""Errors that one probe is there to find: to every other probe they mean that it could not look."""


class Said(NamedTuple):
    """How a probe ended."""

    state: ProbeState
    measured: str
    todo: str = ""


def ok(measured: str, todo: str = "") -> Said:
    """It is as it should be; ``todo`` is advice."""
    return Said(ProbeState.OK, measured, todo)


def failed(measured: str, todo: str) -> Said:
    """It is not as it should be."""
    return Said(ProbeState.FAILED, measured, todo)


def unknown(measured: str, todo: str = "") -> Said:
    """It could not be found out."""
    return Said(ProbeState.COULD_NOT_TELL, measured, todo)


def not_set_up(measured: str, todo: str = "") -> Said:
    """There is nothing of the kind here."""
    return Said(ProbeState.NOT_CONFIGURED, measured, todo)


@dataclass(frozen=True)
class Installation:
    """What is tested. ``scratch`` is an empty private folder; ``sample`` bounds the versions verified.

    ``began`` and ``began_monotonic`` are readings of both clocks of the same moment.
    """

    settings: Settings
    policy_reference: str
    scratch: Path
    sample: int
    began: datetime
    began_monotonic: float

    @property
    def policy(self) -> Policy:
        """The policy, read anew; raises ``bad-policy``."""
        return load_policy(self.policy_reference)

    @property
    def trust(self) -> Trust:
        """The trust in force; raises what ``effective_trust`` raises."""
        return effective_trust(self.settings)

    def folder(self, name: str) -> Path:
        """A new private folder for one probe."""
        made = self.scratch / name
        made.mkdir(mode=0o700)
        return made


@dataclass(frozen=True)
class Probe:
    """One thing to try. ``code`` is stable and never reused; ``title`` says what must hold."""

    code: str
    title: str
    run: Callable[[Installation], Said]


def carry_out(probe: Probe, installation: Installation) -> ProbeResult:
    """Run one probe; whatever it meets is an answer, and never the end of the others."""
    started = time.perf_counter()
    try:
        said = probe.run(installation)
    except Error as error:
        said = _told(probe.code, error)
    except Exception as error:  # a probe that breaks has found out nothing, and the others go on
        said = unknown(f"{type(error).__name__}: {error}", "report this, with the output of --format json")
    return ProbeResult(
        code=probe.code,
        state=said.state,
        measured=said.measured[:_TEXT],
        todo=said.todo[:_TEXT],
        seconds=round(time.perf_counter() - started, 3),
    )


def _told(code: str, error: Error) -> Said:
    """Refused means that something was found; a fetch or a tool that failed, that nothing could be."""
    measured = str(error)
    owner = _ELSEWHERE.get(error.code)
    if owner is not None:
        mended = error.todo if owner == code else f"mend {owner} first"
        return failed(measured, mended) if owner == code else unknown(measured, mended)
    if error.code in _NOT_SET_UP:
        return not_set_up(measured, error.todo)
    if isinstance(error, Refused | UsageError):
        return failed(measured, error.todo or error.why)
    return unknown(measured, error.todo)
