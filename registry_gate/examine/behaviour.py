"""Staged -> Behaviour: runs the second confined child and validates what it measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from registry_gate.errors import ToolError, UsageError
from registry_gate.evidence import Behaviour, BehaviourMeasurement, SandboxReport, Staged, Structure
from registry_gate.examine import reachable
from registry_gate.examine.behaviour_messages import TESTS, Answer, Architecture, Request
from registry_gate.examine.sandbox import choose, run_confined
from registry_gate.policy import Policy
from registry_gate.progress import Progress, silent

CHILD = "registry_gate.examine.behaviour_child"
_MAX_ANSWER = 8 << 20
# What a hostile model can do to its own child; the gate itself is not at fault and goes on to judge.
_CHILD_DIED = ("reader-timeout", "reader-memory", "reader-crashed", "reader-answer")
_STATUSES = ("measured", "not_applicable", "unavailable", "error")


@dataclass(frozen=True)
class Probing:
    """How to test behaviour.

    ``probe_data`` are clean labelled images: a folder with one sub-folder a class, a `datasets` directory, or
    an ``.npz`` file.
    ``device`` is ``auto``, ``cpu``, ``cuda`` or ``mps``; ``seed`` fixes every
    random draw and is recorded. ``tests`` are those wanted (None: all). ``profile`` of MM-BD is the policy's
    if None; ``references`` are the MM-BD statistics of clean models of the same base. ``architecture`` names
    a built-in network for a bare state dict.
    """

    probe_data: Path | None = None
    device: str = "auto"
    seed: int = 0
    tests: tuple[str, ...] | None = None
    profile: str | None = None
    references: tuple[float, ...] = ()
    architecture: Architecture | None = None


def examine_behaviour(
    staged: Staged, policy: Policy, probing: Probing, *, progress: Progress = silent
) -> Behaviour:
    """Measure how the staged model behaves, in a confined child.

    Args:
        staged: the staged files; ``staged.root`` is the folder that the child may read.
        policy: time, memory, accepted sandboxes, and the thresholds the grey zone is measured by.
        probing: probe data, device, seed, tests.
        progress: steps of each test.

    Returns:
        The behaviour. A child that dies, takes too long or answers nonsense gives ``error`` measurements, so
        that nothing counts as having been looked at.

    Raises:
        UsageError: ``bad-probe-data`` when the path does not exist; ``bad-device``.
        ToolError: ``no-sandbox`` or ``sandbox-leaks``.
    """
    started = time.perf_counter()
    request = _request(staged, policy, probing)
    probe_data = probing.probe_data
    inputs = [staged.root.resolve(), *([probe_data.resolve()] if probe_data else [])]
    try:
        answer, sandbox = run_confined(
            CHILD,
            request.canonical(),
            inputs=inputs,
            seconds=policy.limits.behaviour_seconds,
            memory_mb=policy.limits.behaviour_memory_mb,
            accepted=policy.sandboxes,
            device=_sandbox_device(probing.device),
            progress=progress,
        )
        measured = _validated(answer)
    except ToolError as error:
        if error.code not in _CHILD_DIED:
            raise
        sandbox = SandboxReport(mode=choose(policy.sandboxes), guarantees=())
        measured = _nothing(f"{error.code}: {error.message}"[:1000])
    seconds = round(time.perf_counter() - started, 3)
    return Behaviour(sandbox=sandbox, structure=measured.structure, tests=measured.tests, seconds=seconds)


def _request(staged: Staged, policy: Policy, probing: Probing) -> Request:
    probe_data = probing.probe_data
    if probe_data is not None and not probe_data.exists():
        raise UsageError("bad-probe-data", f"probe data {str(probe_data)!r} does not exist")
    limit = policy.thresholds.get
    try:
        return Request(
            root=str(staged.root.resolve()),
            weights=tuple(file.name for file in staged.files if file.name.endswith(".safetensors")),
            probe_data=str(probe_data.resolve()) if probe_data else None,
            device=probing.device,
            seed=probing.seed,
            seconds=policy.limits.behaviour_seconds,
            tests=TESTS if probing.tests is None else probing.tests,
            fusion=policy.behaviour_fusion,
            grey=(limit("backdoor-score-grey", 1.0), limit("backdoor-score-no-samples-grey", 1.0)),
            flagged=(limit("backdoor-score", 1.0), limit("backdoor-score-no-samples", 1.0)),
            false_rejection_rate=limit("strip-false-rejection-rate", 0.01),
            profile=probing.profile or policy.mm_bd_profile,
            references=probing.references,
            architecture=probing.architecture,
        )
    except ValidationError as error:
        raise UsageError(
            "bad-behaviour-request",
            f"device {probing.device!r}, seed {probing.seed} or a threshold of policy {policy.name!r} is out "
            "of range",
            why=str(error)[:500],
            todo="devices are auto, cpu, cuda and mps; seeds are not negative",
        ) from error


def _sandbox_device(device: str) -> str:
    """Device files are let in only where they are wanted and there."""
    return "cuda" if device == "cuda" or (device == "auto" and reachable.nvidia()) else "cpu"


def _validated(answer: bytes) -> Answer:
    """The child's answer, held against everything the parent knows of it."""
    problem = ""
    if len(answer) > _MAX_ANSWER:
        problem = f"longer than {_MAX_ANSWER} bytes"
    try:
        measured = Answer.from_json(answer if not problem else b"")
    except ValidationError as error:
        problem = problem or f"{error.error_count()} fields do not validate"
    else:
        problem = _inconsistent(measured)
    if problem:
        raise ToolError("reader-answer", f"the behaviour child's answer is not one: {problem}")
    return measured


def _inconsistent(measured: Answer) -> str:
    if tuple(test.test for test in measured.tests) != TESTS:
        return "it does not hold each test once"
    if measured.structure.status not in _STATUSES or any(t.status not in _STATUSES for t in measured.tests):
        return "a status is unknown"
    if any(test.status == "measured" and test.statistic is None for test in measured.tests):
        return "a measured test has no statistic"
    return ""


def _nothing(reason: str) -> Answer:
    tests = tuple(BehaviourMeasurement(test=test, version=1, status="error", reason=reason) for test in TESTS)
    return Answer(structure=Structure(status="error", reason=reason), tests=tests)
