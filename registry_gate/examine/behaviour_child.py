"""The second confined child: builds the staged model from library classes and measures how it behaves.

Nothing here may import torch, numpy or transformers before the process is confined.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from registry_gate.evidence import BehaviourMeasurement
from registry_gate.examine import confinement
from registry_gate.examine.behaviour_messages import TESTS, Answer, Request
from registry_gate.progress import Progress

TESTED_TASK = "image-classification"


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
    structure, library = examine_structure(Path(request.root), request.weights)
    progress("structure", 1, 1)
    if library is None:
        status = "error" if structure.status == "error" else "not_applicable"
        return Answer(structure=structure, tests=_none(status, f"no model was built: {structure.reason}"))
    if structure.task != TESTED_TASK:
        reason = f"no behavioural test exists here for the task {structure.task!r}; nothing was looked at"
        return Answer(structure=structure, tests=_none("not_applicable", reason))
    if structure.missing or structure.mismatched:
        return Answer(structure=structure, tests=_none("error", "the staged tensors do not fill the class"))
    from registry_gate.examine.image_examination import examine_images

    return Answer(structure=structure, tests=examine_images(request, library, started, progress))


def _none(status: str, reason: str) -> tuple[BehaviourMeasurement, ...]:
    return tuple(
        BehaviourMeasurement(test=test, version=1, status=status, reason=reason[:1000]) for test in TESTS
    )


if __name__ == "__main__":
    confinement.serve(answer)
