"""Loads a staged image classifier and its probe data, and runs the tests on it. Runs confined."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from registry_gate.evidence import BehaviourMeasurement
from registry_gate.examine.behaviour_messages import IMAGE_TESTS
from registry_gate.examine.builtin_classifier import fitted_to, load_builtin
from registry_gate.examine.image_classifier import ImageClassifier, load_image_classifier
from registry_gate.examine.image_margin import PROFILES
from registry_gate.examine.image_plan import Plan, unmeasured
from registry_gate.examine.image_tests import run_tests
from registry_gate.examine.model_structure import LibraryClass
from registry_gate.examine.probe_data import NoProbe, ProbeData, read_probe_data
from registry_gate.progress import Progress

if TYPE_CHECKING:
    from registry_gate.examine.behaviour_messages import Request

# The rest of the time is for starting, loading and the answer.
_SHARE_OF_TIME = 0.8
# Pixels up to which a second thread costs more than it gives; by size, so that the same model computes alike.
_SMALL_IMAGE = 64 * 64


def examine_images(
    request: Request, library: LibraryClass, started: float, progress: Progress
) -> tuple[BehaviourMeasurement, ...]:
    """Every test's measurement; whatever the model's own code trips over is an ``error`` in words.

    Args:
        request: what the parent asks.
        library: the class whose structure was compared.
        started: ``time.monotonic()`` at the start of the child's work.
        progress: told of steps.
    """
    plan = Plan(
        seed=request.seed,
        tests=request.tests,
        fusion=request.fusion,
        grey=request.grey,
        flagged=request.flagged,
        references=request.references,
        false_rejection_rate=request.false_rejection_rate,
        deadline=started + _SHARE_OF_TIME * request.seconds,
        profile=PROFILES[request.profile],
    )
    try:
        device = resolve_device(request.device)
        classifier = _load(request, library, device)
        if classifier.shape[1] * classifier.shape[2] <= _SMALL_IMAGE:
            torch.set_num_threads(1)
        probe = _probe(request, classifier)
        if isinstance(probe, ProbeData) and classifier.network is not None:
            classifier = fitted_to(classifier, probe)
        return run_tests(classifier, probe, plan, progress)
    except MemoryError:
        raise
    except Exception as error:
        # A hostile configuration makes library code raise anything; all of it means "not tested".
        reason = f"the model could not be tested: {type(error).__name__}: {str(error)[:300]!r}"
        return tuple(unmeasured(test, reason, "error") for test in IMAGE_TESTS)


def _load(request: Request, library: LibraryClass, device: torch.device) -> ImageClassifier:
    root, architecture = Path(request.root), request.architecture
    if architecture is not None:
        return load_builtin(root, request.weights, architecture, device)
    return load_image_classifier(root, request.weights, library, device)


def resolve_device(wanted: str) -> torch.device:
    """The device for ``auto``, ``cpu``, ``cuda`` or ``mps``, set up to compute the same numbers every time.

    Raises:
        ValueError: the device asked for by name is not there.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(name for name, works in there.items() if works))
    if not there[wanted]:
        raise ValueError(f"device {wanted!r} is not available here")
    return torch.device(wanted)


def _probe(request: Request, classifier: ImageClassifier) -> ProbeData | NoProbe:
    """Probe data, or the reason in words why there is none."""
    if request.probe_data is None:
        reason = (
            "no probe data was given (--probe-data); a few clean labelled images of each class are needed"
        )
        return NoProbe(reason, given=False)
    try:
        return read_probe_data(
            Path(request.probe_data), classifier.shape, classifier.classes, classifier.labels
        )
    except ValueError as error:
        return NoProbe(str(error), given=True)
