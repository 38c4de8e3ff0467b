"""Snapshot -> Staged: the one loop. It reads each byte once; hashes, measures and writes it on the way.

Nothing here parses. Where a tensor lies is stated by a confined reader and checked against the file's size;
the digests on both sides of the copy are the proof that the conversion changed nothing.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

from registry_gate.candidate import Snapshot, SnapshotFile
from registry_gate.errors import ToolError, UsageError
from registry_gate.evidence import CopyPlan, Staged, StagedFile, TensorMeasurement, WeightSet
from registry_gate.leftovers import take_up
from registry_gate.paths import path_collisions, path_hazard
from registry_gate.progress import Progress, silent
from registry_gate.weights.copying import LANES, Copied, copy_file
from registry_gate.weights.lanes import Lanes
from registry_gate.weights.shard_index import INDEX, needs_index, write_index
from registry_gate.weights.target import Layout, bad_plan, lay_out

_SIDE_BY_SIDE = 2
_Work = tuple[str, str, Layout | None]
"""Source path, target path, and where the tensors go."""


def stage(
    snapshot: Snapshot,
    weight_set: WeightSet,
    destination: Path,
    progress: Progress = silent,
    kept: Path | None = None,
) -> Staged:
    """Copy the chosen weights into safetensors files and carry the other files, in bounded memory.

    Everything is written to ``<destination>.partial``; ``destination`` appears once complete. Two files are
    copied at a time, each read once.

    Args:
        snapshot: the private folder; every source is compared with its digests again as it is read.
        weight_set: what to convert and what to carry; hostile, checked before a byte is written.
        destination: absent or an empty folder.
        progress: stage ``convert``, in bytes.
        kept: what a killed staging had written. Every byte of the source is read, hashed and measured all the
            same; where what would be written is there already, it is compared instead of written.

    Raises:
        Refused: ``bytes-changed`` when a source is not what the snapshot says, ``bad-copy-plan``.
        UsageError: ``not-empty`` when ``destination`` holds something.
        ToolError: ``staging-failed`` when the disk cannot take it.
    """
    started = time.perf_counter()
    if destination.is_symlink() or (destination.exists() and any(destination.iterdir())):
        raise UsageError("not-empty", f"{destination} is not an empty folder", todo="name another folder")
    layouts = _checked(snapshot, weight_set)
    partial = destination.with_name(destination.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True, mode=0o700)
        staged = _copy_all(snapshot, weight_set, layouts, partial, progress, kept)
        partial.rename(destination)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ToolError("staging-failed", f"could not stage {destination}: {error}") from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    seconds = round(time.perf_counter() - started, 3)
    return staged.model_copy(update={"root": destination, "seconds": seconds})


def _checked(snapshot: Snapshot, weight_set: WeightSet) -> list[Layout]:
    """Check all names and plans before anything is written; lay out every target."""
    sizes = {file.path: file.size for file in snapshot.files}
    sources = [plan.source for plan in weight_set.plans]
    targets = [plan.target for plan in weight_set.plans]
    for path in (*sources, *weight_set.carried):
        if path not in sizes:
            raise bad_plan(f"{path[:200]!r} is not a file of the snapshot")
    names = [*targets, *weight_set.carried, *([INDEX] if needs_index(weight_set.plans) else ())]
    for name in names:
        hazard = path_hazard(name)
        if hazard:
            raise bad_plan(f"{name[:200]!r} is not a name that a staged file can have: it {hazard}")
    if path_collisions(names):
        raise bad_plan("two staged files would have one name")
    if not all(target.endswith(".safetensors") for target in targets):
        raise bad_plan("weights are staged as .safetensors only")
    return [lay_out(plan, sizes[plan.source]) for plan in weight_set.plans]


class _Tally:
    """Bytes read so far by all copies together; progress never goes back."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress = total, progress
        self._read: dict[str, int] = {}
        self._lock = threading.Lock()

    def of(self, path: str) -> Callable[[int], None]:
        """What one copy calls with the bytes it has read."""

        def done(count: int) -> None:
            with self._lock:
                self._read[path] = count
                self._progress("convert", min(sum(self._read.values()), self._total), self._total)

        return done


def _copy_all(
    snapshot: Snapshot,
    weight_set: WeightSet,
    layouts: Sequence[Layout],
    root: Path,
    progress: Progress,
    kept: Path | None,
) -> Staged:
    known = {file.path: file for file in snapshot.files}
    work: list[_Work] = [
        (plan.source, plan.target, layout) for plan, layout in zip(weight_set.plans, layouts, strict=True)
    ]
    work += [(path, path, None) for path in weight_set.carried]
    tally = _Tally(sum(known[source].size for source, _, _ in work), progress)
    stopped = threading.Event()

    def copy(lanes: Lanes, item: _Work) -> Copied:
        source, target, layout = item
        report = tally.of(target)

        def done(count: int) -> None:
            if stopped.is_set():
                raise _Stopped
            report(count)

        (root / target).parent.mkdir(parents=True, exist_ok=True)
        size = layout.size if layout else known[source].size
        resumed = kept is not None and take_up(kept / target, root / target, size) > 0
        return copy_file(lanes, snapshot.root / source, known[source], root / target, layout, done, resumed)

    copied = _side_by_side(work, copy, stopped)
    files = [
        _file(target, known[source], done) for (source, target, _), done in zip(work, copied, strict=True)
    ]
    measured = zip(weight_set.plans, copied, strict=False)  # the plans come first
    tensors = [tensor for plan, done in measured for tensor in _measured(plan, done)]
    if needs_index(weight_set.plans):
        files.append(write_index(root, weight_set.plans, known))
    return Staged(files=tuple(files), tensors=tuple(tensors))


class _Stopped(BaseException):
    """Another copy failed: this one ends, and nobody hears of it."""


def _side_by_side(
    work: Sequence[_Work], copy: Callable[[Lanes, _Work], Copied], stopped: threading.Event
) -> list[Copied]:
    """Copy several files at a time, each with lanes of its own; the first failure ends them all."""
    with ExitStack() as stack:
        count = max(1, min(_SIDE_BY_SIDE, len(work)))
        free = [stack.enter_context(Lanes(LANES)) for _ in range(count)]
        pool = stack.enter_context(ThreadPoolExecutor(count, thread_name_prefix="copy"))

        def run(item: _Work) -> Copied:
            lanes = free.pop()
            try:
                return copy(lanes, item)
            finally:
                free.append(lanes)

        futures = [pool.submit(run, item) for item in work]
        wait(futures, return_when=FIRST_EXCEPTION)
        failed = [error for future in futures if future.done() and (error := future.exception())]
        if failed:
            stopped.set()
            for future in futures:
                future.cancel()
            raise failed[0]
        return [future.result() for future in futures]


def _file(name: str, source: SnapshotFile, copied: Copied) -> StagedFile:
    return StagedFile(
        name=name,
        size=copied.size,
        sha256=copied.sha256,
        chunk_size=copied.chunk_size,
        chunk_ends=copied.chunk_ends,
        algorithm=copied.algorithm,
        chunks=copied.chunks,
        source=source.path,
        source_sha256=source.sha256,
    )


def _measured(plan: CopyPlan, copied: Copied) -> list[TensorMeasurement]:
    """One measurement for each tensor of the plan, or none at all: a tensor is never skipped in silence."""
    found = {
        placement.tensor.name: TensorMeasurement(
            name=placement.tensor.name,
            file=plan.target,
            dtype=placement.tensor.dtype,
            shape=placement.tensor.shape,
            source_blake3=region.digest,
            staged_blake3=copied.tensors[placement.tensor.name],
            **vars(region.statistics),
        )
        for region in copied.regions
        for placement in region.placements
    }
    return [found[tensor.name] for tensor in plan.tensors]
