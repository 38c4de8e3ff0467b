"""Evidence with a behaviour examination in it, made of plain values."""

from __future__ import annotations

from datetime import UTC, datetime

from registry_gate.candidate import Candidate, SourceKind
from registry_gate.evidence import Behaviour, BehaviourMeasurement, Evidence, SandboxReport, Structure
from registry_gate.policy import Policy, load_policy

SANDBOX = SandboxReport(mode="bubblewrap", guarantees=())
BARE = Evidence(
    gate_version="0",
    observed_at=datetime(2026, 1, 1, tzinfo=UTC),
    candidate=Candidate(kind=SourceKind.FOLDER, endpoint="", id="org/model"),
    registered_name="org--model",
)


def with_structure(structure: Structure) -> Evidence:
    return BARE.model_copy(update={"behaviour": Behaviour(sandbox=SANDBOX, structure=structure)})


def with_test(measurement: BehaviourMeasurement) -> Evidence:
    behaviour = Behaviour(sandbox=SANDBOX, structure=Structure(status="measured"), tests=(measurement,))
    return BARE.model_copy(update={"behaviour": behaviour})


def policy(**thresholds: float) -> Policy:
    """The default policy with exactly these thresholds (hyphens for underscores) and no rule overridden."""
    named = {key.replace("_", "-"): value for key, value in thresholds.items()}
    return load_policy("default").model_copy(update={"thresholds": named, "rules": {}})
