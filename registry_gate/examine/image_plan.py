"""What the behavioural tests of image classifiers are asked to keep to. Runs confined."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch

from registry_gate.backdoor import mmbd
from registry_gate.backdoor.fusion import Fusion
from registry_gate.backdoor.margin import Steps, margins
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.examine.behaviour_messages import IMAGE_TESTS
from registry_gate.examine.image_classifier import ImageClassifier
from registry_gate.progress import Progress, silent

VERSION = 2


@dataclass(frozen=True)
class Plan:
    """What the child is asked: the seed, which tests, how scores are fused and read, and when time is up.

    ``grey`` and ``flagged`` hold scores with samples and without; ``references`` are largest margins of clean
    models of the same base. ``deadline`` is of ``time.monotonic()``.
    """

    seed: int = 0
    tests: tuple[str, ...] = IMAGE_TESTS
    fusion: Fusion | None = None
    grey: tuple[float, float] = (1.0, 1.0)
    flagged: tuple[float, float] = (1.0, 1.0)
    false_rejection_rate: float = 0.01
    deadline: float = float("inf")
    profile: mmbd.Profile = mmbd.FAST
    references: tuple[float, ...] = ()
    progress: Progress = field(default=silent, compare=False)

    def wants(self, *tests: str) -> bool:
        """Whether any of these tests is asked for."""
        return any(test in self.tests for test in tests)

    def steps(self, stage: str) -> Steps:
        """A listener for the steps of one stage."""
        return lambda done, total: self.progress(stage, done, total)


def unmeasured(test: str, reason: str, status: str = "unavailable") -> BehaviourMeasurement:
    """A test that did not measure, with the reason in words."""
    return BehaviourMeasurement(test=test, version=VERSION, status=status, reason=reason[:1000])


def generator(seed: int) -> torch.Generator:
    """A CPU generator, so that every device draws the same numbers."""
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def answers(classifier: ImageClassifier, images: torch.Tensor) -> torch.Tensor:
    """Classes (N,), on the CPU, of images (N, channels, height, width)."""
    parts = torch.split(images, 256)
    return torch.cat([classifier.logits(part.to(classifier.device)).argmax(dim=1).cpu() for part in parts])


def too_dear(classifier: ImageClassifier, rows: int, plan: Plan) -> str:
    """A reason if ``rows`` forward and backward passes cannot be made before the deadline, else empty."""
    left = max(0.0, plan.deadline - time.monotonic())
    seconds = 0.0
    for batch in (8, 64):  # a small batch overstates the cost of a row; the large one is asked only in doubt
        seconds = _seconds_a_row(classifier, batch) * rows
        if seconds <= left:
            return ""
        if seconds > 10 * left:
            break
    return (
        f"it would take about {seconds:.0f} s on {classifier.device.type} and {left:.0f} s are left of the "
        "policy's limit; use an accelerator or raise behaviour_seconds"
    )


def _seconds_a_row(classifier: ImageClassifier, batch: int) -> float:
    images = torch.full((batch, *classifier.shape), 0.5, device=classifier.device).requires_grad_()
    classes = torch.zeros(batch, dtype=torch.long, device=classifier.device)
    tried = []
    for _ in range(3):  # the first pass pays for what libraries set up once
        started = time.perf_counter()
        loss = margins(classifier.logits(images), classes).sum()
        float(torch.autograd.grad(loss, images)[0].sum())
        tried.append(time.perf_counter() - started)
    return min(tried) / batch
