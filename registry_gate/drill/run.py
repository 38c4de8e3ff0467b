"""The drill from beginning to end."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from registry_gate.drill import code_stages, gate_stages, honest, registry_stages, serving_stages
from registry_gate.drill.attack import Attack
from registry_gate.drill.catalogue import Catalogue, StageEntry, catalogue
from registry_gate.drill.document import Control, DrillReport, Outcome, Reading, Replay, StageResult
from registry_gate.drill.gate import GATE_CONTROLS
from registry_gate.drill.matrix import Judged, replay, result_of, weaknesses
from registry_gate.drill.response import respond
from registry_gate.drill.world import World, open_world
from registry_gate.progress import Progress, silent
from registry_gate.version import VERSION

PLAYS: dict[str, Callable[[World, Attack], None]] = {
    "tutorial-link": code_stages.tutorial_link,
    "look-alike": gate_stages.look_alike,
    "side-load": code_stages.side_load,
    "backdoor": gate_stages.backdoor,
    "planted-version": registry_stages.planted_version,
    "stolen-key": registry_stages.stolen_key,
    "second-stage": serving_stages.second_stage,
    "exfiltration": serving_stages.exfiltration,
}
"""What the attacker does in each stage of the catalogue."""


def run_drill(
    stages: tuple[str, ...] = (), without: frozenset[str] = frozenset(), progress: Progress = silent
) -> DrillReport:
    """Play attacker and defender through the stages, in a folder that is deleted afterwards.

    Args:
        stages: ids of the catalogue, in any order; all of them if empty.
        without: controls to do without; the gate's are really switched off in its policy.
        progress: told of stages done, and of the gate's long work.

    Returns:
        The after-action report; ``passed`` where every stage was stopped and caught twice.

    Raises:
        UsageError: ``no-such-stage``, ``no-such-control``, ``administered``.
        ToolError: the drill could not be run, which says nothing about the controls.
    """
    known = catalogue()
    wanted = tuple(known.stage(name) for name in stages)
    chosen = tuple(stage for stage in known.stages if stage in wanted or not wanted)
    for name in without:
        known.control(name)
    began, started = datetime.now(UTC).replace(microsecond=0), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="registry-gate-drill-") as folder:
        place = Path(folder).resolve()
        # the user's proxies, tokens and settings are out of reach for this process too while it plays
        with open_world(place, without, progress) as world, world.as_client():
            report = _played(world, known, chosen, without, progress)
    return report.model_copy(update={"began_at": began, "seconds": round(time.perf_counter() - started, 1)})


def _played(
    world: World,
    known: Catalogue,
    chosen: tuple[StageEntry, ...],
    without: frozenset[str],
    progress: Progress,
) -> DrillReport:
    passed = honest.walk(world, without)
    results: list[StageResult] = []
    replays: list[Replay] = []
    for number, stage in enumerate(chosen):
        progress("drill", number, len(chosen))
        attack = Attack(stage, without)
        PLAYS[stage.id](world, attack)
        judged = _judged(world, stage)
        results.append(result_of(attack, known, judged))
        replays += [replay(attack, one.control, judged) for one in attack.readings if _asked(one)]
    progress("drill", len(chosen), len(chosen))
    steps = respond(world) if any(stage.id == "backdoor" for stage in chosen) else ()
    marker = world.marker.exists()
    weak = weaknesses(results, passed, [(step.what, step.held) for step in steps])
    facts = world.honest.evidence.facts
    return DrillReport(
        gate_version=VERSION,
        began_at=datetime.now(UTC),
        seconds=0.0,
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        policy=world.policy.name,
        sandbox=facts.sandbox.mode if facts else None,
        without=tuple(sorted(without)),
        controls=tuple(Control.model_validate(item.model_dump()) for item in known.controls),
        stages=tuple(results),
        honest=passed,
        replays=tuple(replays),
        response=steps,
        marker_written=marker,
        weak=(*weak, *(("the marker was written: something of a candidate ran",) if marker else ())),
    )


def _asked(reading: Reading) -> bool:
    return reading.outcome not in (Outcome.OFF, Outcome.UNAVAILABLE)


def _judged(world: World, stage: StageEntry) -> Judged | None:
    """What the gate saw, where it is on this stage's road."""
    if not GATE_CONTROLS & set(stage.controls):
        return None
    examined = world.look_alike if stage.id == "look-alike" else world.backdoored
    return Judged(examined.evidence, world.policy, examined.report.observed_at)
