"""A Release in private memory, verified on its way there: weights sealed, small files in a private folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from registry_gate.client.sealed import Held
from registry_gate.errors import ToolError

if TYPE_CHECKING:
    from registry_gate.client.accepted import OpenRelease
    from registry_gate.client.selection import Selected
    from registry_gate.progress import Progress
    from registry_gate.release import ManifestFile, Verified

_WEIGHTS = ".safetensors"


@dataclass(frozen=True)
class Weights:
    """One safetensors file in private memory; ``tensors`` are those that were verified, None for all."""

    name: str
    held: Held
    tensors: tuple[str, ...] | None = None


@dataclass(frozen=True)
class HeldRelease:
    """What parsers may open; ``folder``, where asked for, holds the small files and links to the weights."""

    verified: Verified
    weights: tuple[Weights, ...]
    folder: Path


@contextmanager
def held_release(release: OpenRelease, progress: Progress, *, with_folder: bool) -> Iterator[HeldRelease]:
    """Verify every byte of a Release while it is copied; nothing is yielded before all of it was verified.

    Args:
        release: accepted, not read yet.
        progress: told ``verify``, bytes verified, bytes in all.
        with_folder: copy the other files too, beside links to the sealed weights, for libraries that open
            paths. Without it they are verified where they lie, and nothing opens them.

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
        weights: list[Weights] = []
        for file in manifest.files:
            if file.name.endswith(_WEIGHTS):
                held = stack.enter_context(Held(file.size, scratch))
                check_chunked(release.source, file, told, held.descriptor)
                weights.append(Weights(file.name, held))
            elif with_folder:
                copy_chunked(release.source, file, folder / file.name, told)
            else:
                check_chunked(release.source, file, told)
        _seal(weights)
        if with_folder:
            _link(weights, folder)
        yield HeldRelease(release.found.verified, tuple(weights), folder)


@contextmanager
def held_tensors(release: OpenRelease, patterns: Sequence[str], progress: Progress) -> Iterator[HeldRelease]:
    """Verify and copy the tensors that match, and nothing else of the Release but the headers that name them.

    Args:
        release: accepted, not read yet.
        patterns: tensor names, or patterns as of ``fnmatch``, case counting; each must match something.
        progress: told ``verify`` and twice the bytes verified: how many will be wanted is not known before.

    Raises:
        UsageError: ``no-such-tensor``.
        VerificationError, ToolError: as :func:`held_release`.
    """
    from registry_gate.client.selection import check_patterns, read_selected

    done = 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        progress("verify", done, done)

    with _private_folder() as scratch, ExitStack() as stack:
        weights: list[Weights] = []
        selected: list[Selected] = []
        for file in weight_files(release.found.manifest.files):
            held = stack.enter_context(Held(file.size, scratch))
            selected.append(read_selected(release.source, file, held, patterns, told))
            weights.append(Weights(file.name, held, selected[-1].tensors))
        check_patterns(patterns, [name for item in selected for name in item.tensors])
        _seal(weights)
        for item in selected:
            item.compare_header()
        yield HeldRelease(release.found.verified, tuple(weights), scratch)


def weight_files(files: Sequence[ManifestFile]) -> list[ManifestFile]:
    """The files of a manifest that hold tensors."""
    return [file for file in files if file.name.endswith(_WEIGHTS)]


def _seal(weights: Sequence[Weights]) -> None:
    for item in weights:
        item.held.seal()


def _link(weights: Sequence[Weights], folder: Path) -> None:
    """The libraries find weights by their names; what they open is the sealed memory."""
    for item in weights:
        place = folder / item.name
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.symlink_to(item.held.path)


@contextmanager
def _private_folder() -> Iterator[Path]:
    try:
        scratch = Path(tempfile.mkdtemp(prefix="registry-gate-load-"))
    except OSError as error:
        raise ToolError("copy-failed", f"no temporary folder could be made: {error.strerror}") from error
    try:
        yield scratch
    except OSError as error:
        raise ToolError(
            "copy-failed",
            f"the Release could not be copied: {error.strerror or error}",
            todo="free memory or disk space, then load again",
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
