"""What ``registry-gate doctor`` found of an installation, and whether one may admit with it. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, NamedTuple

from pydantic import AwareDatetime, Field

from registry_gate.finding import Slug
from registry_gate.record import Record
from registry_gate.release import Digest

SELF_TEST = "self-test"
"""How evidence says that nobody was to ask for one, in ``out_of_scope``: a scan, or a dry run."""


MISSING, STALE, FAILED = "self-test-missing", "self-test-stale", "self-test-failed"
"""Why an installation may not admit."""


class ProbeState(StrEnum):
    """How one probe ended, from best to worst."""

    OK = "ok"
    NOT_CONFIGURED = "not-configured"
    COULD_NOT_TELL = "could-not-tell"
    FAILED = "failed"


_PASSING = (ProbeState.OK, ProbeState.NOT_CONFIGURED)


class ProbeResult(Record):
    """One probe: what was measured, and what to do where that is not as it should be."""

    code: Slug
    state: ProbeState
    measured: str = Field(max_length=1000)
    todo: str = Field(default="", max_length=1000)
    seconds: float = Field(default=0.0, ge=0)


class SelfTest(Record):
    """Every probe of one run: when, on which host, with which versions, for which policy and registry.

    ``policy_digest`` is None where the policy itself cannot be read.
    """

    version: Literal[1] = 1
    tested_at: AwareDatetime
    host: str = Field(max_length=300)
    gate_version: str
    policy: str = Field(max_length=1000)
    policy_digest: Digest | None
    registry_uri: str
    versions: dict[str, str]
    results: tuple[ProbeResult, ...] = Field(min_length=1)

    @property
    def state(self) -> ProbeState:
        """``ok``, or the worst there is of ``could-not-tell`` and ``failed``."""
        worst = max((result.state for result in self.results), key=list(ProbeState).index)
        return ProbeState.OK if worst in _PASSING else worst

    @property
    def bad(self) -> tuple[str, ...]:
        """The codes of the probes that did not pass."""
        return tuple(result.code for result in self.results if result.state not in _PASSING)


class RecordedSelfTest(Record):
    """A self-test, and the line that the gate's log key signed over it: whoever signs a Release opens it."""

    said: SelfTest
    bundle: str


class Unfit(NamedTuple):
    """Why an installation may not admit: a stable code, and the sentence."""

    code: str
    message: str


def unfit(recorded: RecordedSelfTest | None, observed_at: datetime, days: int) -> Unfit | None:
    """What a policy that demands a self-test finds wanting; None where nothing is.

    Args:
        recorded: the newest self-test of the host, version, policy and registry that are used.
        observed_at: when it was examined: a later self-test says as much about it as an earlier one.
        days: how old a self-test may have been by then.
    """
    if recorded is None:
        return Unfit(MISSING, f"the policy demands a self-test of at most {days} days, and there is none")
    said = recorded.said
    if said.state is not ProbeState.OK:
        return Unfit(FAILED, f"the self-test of {_when(said)} did not pass: {', '.join(said.bad[:8])}")
    if observed_at - said.tested_at > timedelta(days=days):
        return Unfit(STALE, f"the last self-test was on {_when(said)}; the policy allows {days} days")
    return None


def _when(said: SelfTest) -> str:
    return f"{said.tested_at:%Y-%m-%d %H:%M} UTC"
