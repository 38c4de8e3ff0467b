"""What a drill leaves: each control's reading of each stage, the replays, the response, the whole report."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, Field

from registry_gate.drill.catalogue import Technique
from registry_gate.finding import Slug
from registry_gate.record import Record


class Outcome(StrEnum):
    """What one control made of one stage.

    ``stopped``: the step could not happen; ``alarmed``: it happened and somebody is told; ``missed``:
    neither; ``off``: it was not asked, because the drill was told to do without it; ``unavailable``: it could
    not be asked on this machine, which is not the same as having looked.
    """

    STOPPED = "stopped"
    ALARMED = "alarmed"
    MISSED = "missed"
    OFF = "off"
    UNAVAILABLE = "unavailable"


class Reading(Record):
    """One control asked about one stage.

    ``codes`` are the rules or refusals it gave; ``seconds`` from the moment the step met it to its verdict,
    for a control of the gate from the request on, with all that was fetched and converted until then.
    """

    stage: Slug
    control: Slug
    outcome: Outcome
    codes: tuple[str, ...] = ()
    detail: str = ""
    seconds: float = Field(ge=0)


class Replay(Record):
    """One stage walked again with one control off.

    ``stopped_by`` is the first control that still stops it, None where nothing does; ``gate`` is the verdict
    that ``decide`` gives on the stored evidence without that control, where the gate is on the road.
    """

    stage: Slug
    without: Slug
    stopped_by: Slug | None
    alarms: tuple[Slug, ...] = ()
    gate: str | None = None

    @property
    def through(self) -> bool:
        """Whether the attack got through."""
        return self.stopped_by is None


class Proof(Record):
    """That the attacker's step is real: what was seen of it where no control stood in its way."""

    what: str
    seen: bool


class StageResult(Record):
    """One stage: what the attacker did, and what each control on its road said.

    ``smallest_hole`` are the fewest controls whose loss, all together, lets it through; ``seconds_to_detect``
    is the soonest that any control caught it.
    """

    stage: Slug
    title: str
    story: str
    consequence: str
    techniques: tuple[Technique, ...]
    readings: tuple[Reading, ...]
    proofs: tuple[Proof, ...] = ()
    tree: str = ""
    independent: int = Field(ge=0, description="controls at different places that caught it")
    stopped: bool
    smallest_hole: tuple[Slug, ...]
    seconds_to_detect: float | None

    @property
    def caught(self) -> tuple[Reading, ...]:
        """The readings of the controls that caught it, in the order of the road."""
        return tuple(one for one in self.readings if one.outcome in (Outcome.STOPPED, Outcome.ALARMED))


class ResponseStep(Record):
    """One step of the response to an attack that got in: what, how long, whether it held, with which code."""

    what: str
    seconds: float = Field(ge=0)
    held: bool
    code: str = ""


REVOKED, REFUSED = "revoke: log, index and timestamp are signed", "a client in a fresh process is refused"
"""The two steps of the response whose time together is the time to respond."""


class Control(Record):
    """A column of the matrix. Two controls are independent where their ``place`` differs."""

    id: Slug
    title: str
    place: str
    when: str


class DrillReport(Record):
    """The after-action report, as ``--format json`` prints it and ``report.json`` keeps it."""

    schema_version: Literal[1] = 1
    gate_version: str
    began_at: AwareDatetime
    seconds: float = Field(ge=0)
    machine: str
    policy: str
    sandbox: str | None
    without: tuple[Slug, ...]
    controls: tuple[Control, ...]
    stages: tuple[StageResult, ...]
    honest: tuple[Reading, ...]
    replays: tuple[Replay, ...]
    response: tuple[ResponseStep, ...]
    marker_written: bool
    weak: tuple[str, ...]

    @property
    def seconds_to_respond(self) -> float | None:
        """From the decision to revoke until a fresh client had been refused; None where it never was."""
        steps = [step for step in self.response if step.what in (REVOKED, REFUSED)]
        return sum(step.seconds for step in steps) if steps and all(step.held for step in steps) else None

    @property
    def passed(self) -> bool:
        """Every stage stopped, each by two independent controls at least, and nothing else went wrong."""
        return not self.weak
