"""The second confined child: builds the staged model from library classes and measures how it behaves.

Nothing here may import torch, numpy or transformers before the process is confined.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from registry_gate.evidence import BehaviourMeasurement, Structure
from registry_gate.examine import confinement
from registry_gate.examine.behaviour_messages import TESTS, TESTS_OF_TASK, Answer, Request
from registry_gate.progress import Progress

if TYPE_CHECKING:
    from registry_gate.examine.model_structure import LibraryClass

    Examiner = Callable[[Request, LibraryClass, float, Progress], tuple[BehaviourMeasurement, ...]]


def answer(request: bytes, progress: Progress) -> bytes:
    """Serve one request (canonical JSON in and out)."""
    return measure(Request.from_json(request), progress).canonical()


def measure(request: Request, progress: Progress) -> Answer:
    """Compare the structure, then run the tests of the task. Deterministic for a seed and device."""
    started = time.monotonic()
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # cuBLAS is deterministic only with a fixed workspace
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # spinning threads cost more than they give on a busy machine
    from registry_gate.examine.model_structure import examine_structure

    progress("structure", 0, 1)
    if request.architecture is None:
        structure, library = examine_structure(Path(request.root), request.weights)
    else:
        from registry_gate.examine.builtin_structure import examine_builtin

        structure, library = examine_builtin(Path(request.root), request.weights, request.architecture)
    progress("structure", 1, 1)
    if library is None:
        status = "error" if structure.status == "error" else "not_applicable"
        return _answer(structure, (), f"no model was built: {structure.reason}", status)
    if structure.task is None or structure.task not in TESTS_OF_TASK:
        reason = f"no behavioural test exists here for the task {structure.task!r}; nothing was looked at"
        return _answer(structure, (), reason)
    if structure.missing or structure.mismatched or (structure.unexpected and request.architecture):
        return _answer(structure, (), "the staged tensors do not fill the class", "error")
    tests = _examiner(structure.task)(request, library, started, progress)
    return _answer(structure, tests, f"this test is not one for the task {structure.task!r}")


def _examiner(task: str) -> Examiner:
    """The examination of a task; imported when needed, for each brings a library of its own."""
    if task == "text-classification":
        from registry_gate.examine.text_examination import examine_text

        return examine_text
    from registry_gate.examine.image_examination import examine_images

    return {"image-classification": examine_images}[task]


def _answer(
    structure: Structure,
    measured: tuple[BehaviourMeasurement, ...],
    otherwise: str,
    status: str = "not_applicable",
) -> Answer:
    """Every test once, in order: as measured, else with a status and the reason in words."""
    found = {one.test: one for one in measured}
    absent = {"version": 1, "status": status, "reason": otherwise[:1000]}
    tests = (
        found.get(test) or BehaviourMeasurement.model_validate({"test": test} | absent) for test in TESTS
    )
    return Answer(structure=structure, tests=tuple(tests))


if __name__ == "__main__":
    confinement.serve(answer)
