"""A verified copy of a whole Release at a place the caller names."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from registry_gate.client.private_copy import copy_to, remove
from registry_gate.errors import ToolError, UsageError
from registry_gate.progress import Progress, silent

if TYPE_CHECKING:
    from registry_gate.release import Verified
    from registry_gate.signing.trust import Trust


def pull(
    ref: str | os.PathLike[str],
    destination: Path,
    *,
    trust: Trust | Path | str | None = None,
    registry_uri: str | None = None,
    progress: Progress = silent,
) -> Verified:
    """Copy a Release, verified while it is copied; it appears under its name whole, or not at all.

    Its files are read-only. What is promised ends when this returns: whoever can write there can change them.

    Args:
        ref: as for ``load_verified``.
        destination: a folder that does not exist yet, or is empty.
        trust: as for ``load_verified``.
        registry_uri: another registry than the settings name.
        progress: told ``verify``, bytes copied, bytes in all.

    Raises:
        UsageError: ``destination-not-empty``.
        VerificationError, FetchError, ToolError: as ``load_verified``.
    """
    target = destination.absolute()
    try:
        _check_free(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:100]}.partial-"))
    except OSError as error:
        raise ToolError("copy-failed", f"{str(target)[:200]}: {error.strerror}") from error
    try:
        copied = copy_to(ref, trust, scratch / "release", registry_uri, progress)
        _make_readable(copied.root)
        try:
            copied.root.rename(target)
        except OSError as error:
            raise ToolError("copy-failed", f"{target}: {error.strerror}") from error
    finally:
        remove(scratch)
    return copied.verified


def _check_free(target: Path) -> None:
    free = not target.is_symlink() and (
        not target.exists() or (target.is_dir() and not any(target.iterdir()))
    )
    if not free:
        raise UsageError(
            "destination-not-empty",
            f"{target} exists and is not an empty folder",
            why="files that are there already would look like part of what was verified",
            todo="choose another folder",
        )


def _make_readable(root: Path) -> None:
    for folder, _, files in os.walk(root):
        for name in files:
            (Path(folder) / name).chmod(0o444)
        Path(folder).chmod(0o755)
