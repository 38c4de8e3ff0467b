"""A Release where nobody else can write, verified on its way there.

For the tensors alone: memory of this process (``client.own_memory``). For libraries that open paths: weights
in sealed memory (``client.sealed``), small files beside links to it in a private folder.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from registry_gate.client import handed_out
from registry_gate.client.own_memory import OwnMemory
from registry_gate.client.sealed import Held
from registry_gate.errors import ToolError

if TYPE_CHECKING:
    from registry_gate.client.accepted import OpenRelease
    from registry_gate.evidence import TensorSource
    from registry_gate.progress import Progress
    from registry_gate.release import ManifestFile, Verified

_WEIGHTS = ".safetensors"


@dataclass(frozen=True)
class HeldRelease:
    """What parsers may open: a folder of the small files and of links to the sealed weights."""

    verified: Verified
    folder: Path


@dataclass(frozen=True)
class HeldTensors:
    """One safetensors file in this process's memory; ``wanted`` are the tensors that were verified."""

    name: str
    memory: OwnMemory
    wanted: tuple[TensorSource, ...]


@contextmanager
def held_release(release: OpenRelease, progress: Progress) -> Iterator[HeldRelease]:
    """Verify every byte of a Release while it is copied; nothing is yielded before all of it was verified.

    Args:
        release: accepted, not read yet.
        progress: told ``verify``, bytes verified, bytes in all.

    Raises:
        VerificationError: ``missing-file``, ``link``, ``unexpected-file`` or ``bytes-differ``.
        ToolError: ``copy-failed``: memory or disk did not suffice.
    """
    from registry_gate.signing.verify import check_chunked, copy_chunked, counted

    manifest = release.found.manifest
    told = counted(manifest, progress)
    with _private_folder() as scratch, ExitStack() as stack:
        folder = scratch / "model"
        folder.mkdir(mode=0o700)
        weights: dict[str, Held] = {}
        for file in manifest.files:
            if file.name.endswith(_WEIGHTS):
                weights[file.name] = held = stack.enter_context(Held(file.size, scratch))
                check_chunked(release.source, file, told, held.descriptor)
            else:
                copy_chunked(release.source, file, folder / file.name, told)
        for held in weights.values():
            held.seal()
            handed_out.record_descriptor(held.descriptor)
        handed_out.record(folder)
        _link(weights, folder)
        yield HeldRelease(release.found.verified, folder)


def hold_tensors(
    release: OpenRelease, patterns: Sequence[str] | None, progress: Progress
) -> tuple[HeldTensors, ...]:
    """Verify a Release's tensors where they will be used: every byte, or the tensors that match.

    Without patterns the other files are verified too, where they lie: nothing opens them. With patterns,
    nothing of the Release is read but these tensors and the headers that name them.

    Args:
        release: accepted, not read yet.
        patterns: tensor names, or patterns as of ``fnmatch``, case counting; each must match something.
        progress: told ``verify``, bytes verified, bytes in all; with patterns twice the bytes verified, for
            how many will be wanted is not known before.

    Raises:
        UsageError: ``no-such-tensor``.
        VerificationError: ``missing-file``, ``link``, ``unexpected-file`` or ``bytes-differ``.
        ToolError: ``load-failed``; ``copy-failed``: memory did not suffice.
    """
    try:
        if patterns is None:
            return _all_tensors(release, progress)
        return _some_tensors(release, patterns, progress)
    except OSError as error:
        raise _copy_failed(error) from error


def _all_tensors(release: OpenRelease, progress: Progress) -> tuple[HeldTensors, ...]:
    from registry_gate.client.tensors import places
    from registry_gate.signing.verify import check_chunked, counted

    told = counted(release.found.manifest, progress)
    memories: dict[str, OwnMemory] = {}
    for file in release.found.manifest.files:
        if file.name.endswith(_WEIGHTS):
            memories[file.name] = memory = OwnMemory(file.size)
            memory.expect(0, file.size)
            check_chunked(release.source, file, told, memory.view)
        else:
            check_chunked(release.source, file, told)
    return tuple(HeldTensors(name, memory, places(name, memory)) for name, memory in memories.items())


def _some_tensors(
    release: OpenRelease, patterns: Sequence[str], progress: Progress
) -> tuple[HeldTensors, ...]:
    from registry_gate.client.selection import check_patterns, read_selected

    done = 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        progress("verify", done, done)

    found: list[HeldTensors] = []
    for file in weight_files(release.found.manifest.files):
        memory = OwnMemory(file.size)
        wanted = read_selected(release.source, file, memory, patterns, told)
        found.append(HeldTensors(file.name, memory, wanted))
    check_patterns(patterns, [place.name for item in found for place in item.wanted])
    return tuple(found)


def weight_files(files: Sequence[ManifestFile]) -> list[ManifestFile]:
    """The files of a manifest that hold tensors."""
    return [file for file in files if file.name.endswith(_WEIGHTS)]


def _link(weights: Mapping[str, Held], folder: Path) -> None:
    """The libraries find weights by their names; what they open is the sealed memory."""
    for name, held in weights.items():
        place = folder / name
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.symlink_to(held.path)


@contextmanager
def _private_folder() -> Iterator[Path]:
    try:
        scratch = Path(tempfile.mkdtemp(prefix="registry-gate-load-"))
    except OSError as error:
        raise ToolError("copy-failed", f"no temporary folder could be made: {error.strerror}") from error
    try:
        yield scratch
    except OSError as error:
        raise _copy_failed(error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _copy_failed(error: OSError) -> ToolError:
    return ToolError(
        "copy-failed",
        f"the Release could not be copied: {error.strerror or error}",
        todo="free memory or disk space, then load again",
    )
