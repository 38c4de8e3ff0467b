"""What the gate asks of the behaviour child, and what the child answers."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from registry_gate.backdoor.fusion import Fusion
from registry_gate.evidence import BehaviourMeasurement, Structure
from registry_gate.record import Record

IMAGE_TESTS = (
    "final-layer",
    "bounded-pattern",
    "margin-gain",
    "mask-pattern",
    "impression-pattern",
    "impression-gain",
    "mm-bd",
    "strip",
    "activations",
)
TEXT_TESTS = ("text-trigger",)
# By task of the library class. A test belongs to one task; for every other task it says not_applicable.
TESTS_OF_TASK: Mapping[str, tuple[str, ...]] = {
    "image-classification": IMAGE_TESTS,
    "text-classification": TEXT_TESTS,
}
TESTS = tuple(test for tests in TESTS_OF_TASK.values() for test in tests)


class Architecture(Record):
    """A built-in network that a bare state dict fills, where no ``config.json`` names a class.

    ``image`` is height and width in pixels, None for the network's usual size.
    """

    name: str = Field(pattern="^[a-z0-9_-]{1,40}$")
    classes: int = Field(gt=1, le=100_000)
    image: int | None = Field(default=None, ge=8, le=1024)


class Request(Record):
    """What the parent asks.

    ``weights`` are the staged safetensors; ``seconds`` is the time for all; ``tests`` are those wanted.
    Between ``grey`` and ``flagged`` (scores, with samples and without) searches are repeated on new draws.
    """

    root: str
    weights: tuple[str, ...]
    probe_data: str | None = None
    device: str = Field(pattern="^(auto|cpu|cuda|mps)$")
    seed: int = Field(ge=0, lt=2**62)
    seconds: int = Field(gt=0)
    tests: tuple[str, ...] = TESTS
    fusion: Fusion | None = None
    grey: tuple[float, float] = (1.0, 1.0)
    flagged: tuple[float, float] = (1.0, 1.0)
    false_rejection_rate: float = Field(gt=0, lt=1)
    profile: str = Field(default="fast", pattern="^(fast|paper)$")
    references: tuple[float, ...] = ()
    architecture: Architecture | None = None


class Answer(Record):
    """What was measured: the structure, and every test of ``TESTS`` once, in that order."""

    structure: Structure
    tests: tuple[BehaviourMeasurement, ...]
