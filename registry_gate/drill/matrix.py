"""Defence in depth: each stage walked again with one control off, from what was read and decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations

from registry_gate.checks import CHECKS
from registry_gate.decision import Decision, Verdict, decide
from registry_gate.drill.attack import Attack
from registry_gate.drill.catalogue import Catalogue
from registry_gate.drill.document import Outcome, Reading, Replay, StageResult
from registry_gate.drill.gate import GATE_CONTROLS, control_of, policy_without
from registry_gate.evidence import Evidence
from registry_gate.policy import Policy

_CAUGHT = (Outcome.STOPPED, Outcome.ALARMED)


@dataclass(frozen=True)
class Judged:
    """What the gate saw of a stage's candidate, so that it can be decided again."""

    evidence: Evidence
    policy: Policy
    now: datetime

    def without(self, controls: frozenset[str]) -> Decision:
        """The gate's decision with some of its controls off."""
        return decide(self.evidence, policy_without(self.policy, controls & GATE_CONTROLS), self.now)


def replay(attack: Attack, without: str, judged: Judged | None) -> Replay:
    """Walk one stage's road again without one control."""
    gate, stopped_by, standing = _walk(attack, frozenset({without}), judged)
    return Replay(
        stage=attack.stage.id,
        without=without,
        stopped_by=stopped_by,
        alarms=tuple(one.control for one in standing if one.outcome is Outcome.ALARMED),
        gate=gate.verdict.value if gate else None,
    )


def smallest_hole(attack: Attack, judged: Judged | None) -> tuple[str, ...]:
    """The fewest controls whose loss together lets the stage through; empty where it does as it is."""
    stopping = [one.control for one in attack.readings if one.outcome is Outcome.STOPPED]
    for size in range(len(stopping) + 1):
        for off in combinations(stopping, size):
            if _walk(attack, frozenset(off), judged)[1] is None:
                return off
    return tuple(stopping)


def _walk(
    attack: Attack, without: frozenset[str], judged: Judged | None
) -> tuple[Decision | None, str | None, list[Reading]]:
    """The gate's decision, the first control that stops the stage, the readings of those that stand.

    The gate's controls on the road act through one decision, which is made again on the stored evidence;
    every other control acts by itself, as it was read.
    """
    off = attack.without | without
    standing = [one for one in attack.readings if one.control not in off]
    gate = judged.without(off) if judged else None
    stopped_by = _gate_stops(gate, standing) if gate else None
    if stopped_by is None:
        alone = (one for one in standing if one.control not in GATE_CONTROLS)
        stopped_by = next((one.control for one in alone if one.outcome is Outcome.STOPPED), None)
    return gate, stopped_by, standing


def _gate_stops(decision: Decision, standing: Sequence[Reading]) -> str | None:
    """The first control that the decision names among its reasons; None where it admits."""
    if decision.verdict is Verdict.ADMIT:
        return None
    owners = {rule.id: control_of(check) for check in CHECKS for rule in check.rules}
    named = {owners.get(reason.code) for reason in decision.reasons if not reason.waived_by}
    found = next((one.control for one in standing if one.control in named), None)
    return found or next((owner for owner in sorted(filter(None, named))), "name")


def result_of(attack: Attack, known: Catalogue, judged: Judged | None) -> StageResult:
    """What stands at the end of one stage."""
    places = {control.id: control.place for control in known.controls}
    caught = [one for one in attack.readings if one.outcome in _CAUGHT]
    return StageResult(
        stage=attack.stage.id,
        title=attack.stage.title,
        story=attack.stage.story.strip(),
        consequence=attack.stage.consequence,
        techniques=known.techniques_of(attack.stage),
        readings=tuple(attack.readings),
        proofs=tuple(attack.proofs),
        tree=attack.tree,
        independent=len({places[one.control] for one in caught}),
        stopped=_walk(attack, frozenset(), judged)[1] is not None,
        smallest_hole=smallest_hole(attack, judged),
        seconds_to_detect=min((one.seconds for one in caught), default=None),
    )


def weaknesses(
    stages: Sequence[StageResult], honest: Sequence[Reading], response: Sequence[tuple[str, bool]]
) -> tuple[str, ...]:
    """Everything that keeps a drill from having passed, in words."""
    found = [f"{stage.stage}: got through" for stage in stages if not stage.stopped]
    found += [
        f"{stage.stage}: caught by {stage.independent} independent controls, 2 are asked for"
        for stage in stages
        if stage.independent < 2
    ]
    found += [
        f"{stage.stage}: not seen: {proof.what}"
        for stage in stages
        for proof in stage.proofs
        if not proof.seen
    ]
    found += [f"honest: false alarm by {one.control}" for one in honest if one.outcome in _CAUGHT]
    found += [f"response: did not hold: {what}" for what, held in response if not held]
    return tuple(found)
