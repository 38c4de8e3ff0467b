"""What the gate asks of the behaviour child, and what the child answers."""

from __future__ import annotations

from pydantic import Field

from registry_gate.evidence import BehaviourMeasurement, Structure
from registry_gate.record import Record

TESTS = ("mm-bd", "bounded-pattern", "strip")


class Request(Record):
    """What the parent asks. ``weights`` are the staged safetensors; ``seconds`` is the time for all."""

    root: str
    weights: tuple[str, ...]
    probe_data: str | None = None
    device: str = Field(pattern="^(auto|cpu|cuda|mps)$")
    seed: int = Field(ge=0, lt=2**62)
    seconds: int = Field(gt=0)
    gap: float
    gap_grey: float
    false_rejection_rate: float = Field(gt=0, lt=1)
    profile: str = "fast"


class Answer(Record):
    """What was measured."""

    structure: Structure
    tests: tuple[BehaviourMeasurement, ...]
