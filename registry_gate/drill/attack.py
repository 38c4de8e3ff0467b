"""One stage while it is played: its clock, what each control says, and that the attack is real."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from registry_gate.drill.catalogue import StageEntry
from registry_gate.drill.document import Outcome, Proof, Reading
from registry_gate.errors import ToolError

_NOT_HERE = frozenset({"no-engine", "no-sandbox"})
"""Failures that mean "this machine cannot ask that control", where any other one ends the drill."""


@dataclass(frozen=True)
class Answer:
    """What one control said. ``seconds`` where it was measured elsewhere than by asking."""

    outcome: Outcome
    codes: tuple[str, ...] = ()
    detail: str = ""
    seconds: float | None = None


def answer(codes: tuple[str, ...], detail: str = "", *, alarm: bool = False) -> Answer:
    """Caught where there is a code, missed where there is none; ``alarm`` for controls that only tell."""
    caught = Outcome.ALARMED if alarm else Outcome.STOPPED
    return Answer(caught if codes else Outcome.MISSED, codes, detail)


@dataclass
class Attack:
    """What has been seen of one stage so far."""

    stage: StageEntry
    without: frozenset[str]
    readings: list[Reading] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    tree: str = ""

    def ask(self, control: str, question: Callable[[], Answer]) -> None:
        """Put the step before one control and keep what it says and how long it took.

        Raises:
            Error: the control failed, otherwise than by not being on this machine.
        """
        if control in self.without:
            self._keep(control, Answer(Outcome.OFF, detail="switched off", seconds=0.0), 0.0)
            return
        began = time.perf_counter()
        try:
            said = question()
        except ToolError as error:
            if error.code not in _NOT_HERE:
                raise
            said = Answer(Outcome.UNAVAILABLE, (error.code,), error.message)
        self._keep(control, said, time.perf_counter() - began)

    def prove(self, what: str, seen: bool) -> None:
        """Note that the attack is real, or is not."""
        self.proofs.append(Proof(what=what, seen=seen))

    def _keep(self, control: str, said: Answer, seconds: float) -> None:
        reading = Reading(
            stage=self.stage.id,
            control=control,
            outcome=said.outcome,
            codes=said.codes,
            detail=said.detail,
            seconds=round(seconds if said.seconds is None else said.seconds, 3),
        )
        self.readings.append(reading)
