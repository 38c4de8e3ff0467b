"""What the doctor found, as text for people and as one JSON document for programs."""

from __future__ import annotations

import json
from collections import Counter
from importlib import resources

from registry_gate.operate.doctor.run import PROBES
from registry_gate.record import Record
from registry_gate.report.escape import for_terminal
from registry_gate.self_test import ProbeState, SelfTest

SCHEMA_FILE = "doctor.schema.json"
_WIDTH = 15
_TITLES = {probe.code: probe.title for probe in PROBES}


class Diagnosis(Record):
    """A self-test, its outcome, and the number of its entry in the log or the reason why it has none."""

    schema_version: int = 1
    state: ProbeState
    self_test: SelfTest
    recorded: int | None = None
    not_recorded: str = ""


def as_json(diagnosis: Diagnosis) -> str:
    """Indented JSON, ASCII only."""
    return json.dumps(diagnosis.model_dump(mode="json"), indent=2, ensure_ascii=True) + "\n"


def as_text(diagnosis: Diagnosis) -> str:
    """One line a probe: state, code, what was measured; what must hold and what to do where it does not."""
    lines = []
    for result in diagnosis.self_test.results:
        lines.append(f"{result.state.value:<{_WIDTH}}{result.code:<20} {result.measured}")
        if result.state in (ProbeState.FAILED, ProbeState.COULD_NOT_TELL):
            lines.append(f"{'':<{_WIDTH}}must hold: {_TITLES[result.code]}")
        if result.todo:
            lines.append(f"{'':<{_WIDTH}}next: {result.todo}")
    counts = Counter(result.state for result in diagnosis.self_test.results)
    summary = ", ".join(f"{counts[state]} {state.value}" for state in ProbeState if counts[state])
    lines.append(f"{summary}; policy {diagnosis.self_test.policy}, host {diagnosis.self_test.host}")
    if diagnosis.recorded is not None:
        lines.append(f"recorded as entry {diagnosis.recorded} of the log")
    else:
        lines.append(f"not recorded: {diagnosis.not_recorded}")
    return "".join(f"{for_terminal(line)}\n" for line in lines)


def schema() -> str:
    """The JSON Schema (draft 2020-12) of :class:`Diagnosis`, as committed."""
    return json.dumps(Diagnosis.model_json_schema(mode="serialization"), indent=2, sort_keys=True) + "\n"


def committed_schema() -> str:
    """The schema file that ships with the package."""
    return (resources.files("registry_gate.operate.doctor") / SCHEMA_FILE).read_text(encoding="utf-8")
