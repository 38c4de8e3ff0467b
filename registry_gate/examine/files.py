"""Snapshot -> Facts: the readers run confined, and what they answer is checked like any hostile input."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from registry_gate.candidate import Snapshot, SnapshotFile
from registry_gate.errors import ToolError
from registry_gate.evidence import Facts, FileFacts, FileFormat, Problem, SandboxReport, TensorSource
from registry_gate.examine.reading import ReadAnswer, ReadRequest
from registry_gate.examine.sandbox import run_confined
from registry_gate.layout import ITEMSIZE, extent, sound_shape, tensor_bytes
from registry_gate.policy import Policy
from registry_gate.progress import Progress, silent

CHILD = "registry_gate.examine.files_child"
MAX_ANSWER = 64 << 20
_MAX_NAME = 1024
_CULPABLE = frozenset({"reader-timeout", "reader-memory", "reader-crashed", "reader-answer"})
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MIN_SECONDS = 20


def examine_files(snapshot: Snapshot, policy: Policy, progress: Progress = silent) -> Facts:
    """Describe every file of a snapshot in a confined child.

    A file on which the reader crashes, hangs, overruns its memory or answers nonsense hides no other: the
    files are halved until the culprit stands alone, and its facts say ``reader-failed``.

    Args:
        snapshot: its ``root`` is what the child may read.
        policy: reader limits and the sandboxes accepted.
        progress: stage ``read``, in files.

    Raises:
        ToolError: ``no-sandbox``, ``sandbox-leaks``.
    """
    return _examine(snapshot.root, snapshot.root, snapshot.files, policy, progress)


def examine_file(path: Path, policy: Policy, progress: Progress = silent) -> Facts:
    """Describe one bare file, known by its own name. Raises as :func:`examine_files`, and OSError."""
    path = path.resolve(strict=True)
    file = SnapshotFile(path=path.name, size=path.stat().st_size, sha256="0" * 64)
    return _examine(path.parent, path, (file,), policy, progress)


def _examine(
    root: Path, shown: Path, files: tuple[SnapshotFile, ...], policy: Policy, progress: Progress
) -> Facts:
    started = time.perf_counter()
    reading = _Reading(root.resolve(), shown, policy, progress)
    described = reading.read(files, policy.limits.reader_seconds) if files else []
    report = reading.report or _nobody_read()
    return Facts(files=tuple(described), sandbox=report, seconds=round(time.perf_counter() - started, 3))


def _nobody_read() -> SandboxReport:
    return SandboxReport(mode="none", guarantees=())


class _Reading:
    """One examination: where the files lie, and the confinement that held."""

    def __init__(self, root: Path, shown: Path, policy: Policy, progress: Progress) -> None:
        self.root = root
        self.shown = shown
        self.policy = policy
        self.progress = progress
        self.report: SandboxReport | None = None

    def read(self, files: Sequence[SnapshotFile], seconds: int) -> list[FileFacts]:
        """Describe some files in one child, or in two of half as many and half the time."""
        try:
            return self._ask(files, seconds)
        except ToolError as error:
            if error.code not in _CULPABLE:
                raise
            if len(files) == 1:
                return [_unreadable(files[0], error)]
        middle = len(files) // 2
        less = max(_MIN_SECONDS, seconds // 2)
        return self.read(files[:middle], less) + self.read(files[middle:], less)

    def _ask(self, files: Sequence[SnapshotFile], seconds: int) -> list[FileFacts]:
        limits = self.policy.limits
        request = ReadRequest(
            root=str(self.root),
            paths=tuple(file.path for file in files),
            max_config_bytes=limits.max_config_bytes,
        )
        answer, self.report = run_confined(
            CHILD,
            request.canonical(),
            inputs=[self.shown],
            seconds=seconds,
            memory_mb=limits.reader_memory_mb,
            accepted=self.policy.sandboxes,
            progress=self.progress,
        )
        return validated(answer, files)


def _unreadable(file: SnapshotFile, error: ToolError) -> FileFacts:
    problem = Problem(code="reader-failed", detail=f"{error.code}: {error.message}"[:600])
    return FileFacts(
        path=file.path, format=FileFormat.UNKNOWN, reader="none", understood=False, problems=(problem,)
    )


def validated(answer: bytes, files: Sequence[SnapshotFile]) -> list[FileFacts]:
    """The child's answer as facts about exactly the files asked for.

    Args:
        answer: canonical JSON of a ReadAnswer, at most ``MAX_ANSWER`` bytes.
        files: what was asked, in order.

    Raises:
        ToolError: ``reader-answer`` when anything in it does not fit: other paths, tensors outside their
            file, byte counts that are not those of dtype and shape.
    """
    if len(answer) > MAX_ANSWER:
        raise _nonsense(f"it is longer than {MAX_ANSWER} bytes")
    try:
        described = ReadAnswer.from_json(answer).files
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _nonsense(f"{first['loc']!r}: {first['msg']}") from None
    if [facts.path for facts in described] != [file.path for file in files]:
        raise _nonsense("it is not about the files asked for")
    for facts, file in zip(described, files, strict=True):
        _check_facts(facts, file.size)
    return list(described)


def _check_facts(facts: FileFacts, size: int) -> None:
    codes = [problem.code for problem in facts.problems]
    if not all(_SLUG.fullmatch(code) for code in codes):
        raise _nonsense(f"a problem code of {facts.path!r} is not a slug")
    if not facts.understood and not codes:
        raise _nonsense(f"{facts.path!r} was not understood and nothing says why")
    names = [tensor.name for tensor in facts.tensors]
    if len(set(names)) != len(names):
        raise _nonsense(f"{facts.path!r} states a tensor twice")
    for tensor in facts.tensors:
        fault = _fault(tensor, size)
        if fault:
            raise _nonsense(f"tensor {tensor.name[:100]!r} of {facts.path!r} {fault}")


def _fault(tensor: TensorSource, size: int) -> str:
    """What is wrong with a tensor's place in a file of ``size`` bytes; empty when nothing is."""
    if len(tensor.name) > _MAX_NAME:
        return "has an overlong name"
    if not sound_shape(tensor.shape) or not _sound_stride(tensor):
        return "has an impossible shape or stride"
    if tensor.dtype not in ITEMSIZE:  # an unknown kind is a finding of its own, later
        reach = tensor.nbytes
    elif tensor.nbytes != tensor_bytes(tensor.dtype, tensor.shape):
        return "has a byte count that is not that of its dtype and shape"
    else:
        reach = extent(tensor.dtype, tensor.shape, tensor.stride)
    return "" if tensor.offset + reach <= size else "reaches outside the file"


def _sound_stride(tensor: TensorSource) -> bool:
    stride = tensor.stride
    return stride is None or (len(stride) == len(tensor.shape) and sound_shape(stride))


def _nonsense(what: str) -> ToolError:
    return ToolError(
        "reader-answer",
        f"the confined reader's answer cannot be used: {what}",
        why="an answer out of order means a reader that failed or was taken over",
        todo="treat the file as hostile",
    )
