"""A copy of a Release that only this user can reach, verified while it was written, and deleted after use."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from registry_gate.client import handed_out
from registry_gate.client.accepted import open_release
from registry_gate.errors import FetchError, ToolError
from registry_gate.progress import Progress, silent

if TYPE_CHECKING:
    from registry_gate.release import Verified
    from registry_gate.signing.trust import Trust
    from registry_gate.signing.verify_statements import VerifiedStatements


@dataclass(frozen=True)
class PrivateCopy:
    """A verified Release at ``root``; ``model`` is the folder to load."""

    root: Path
    verified: Verified

    @property
    def model(self) -> Path:
        """The folder of the files to load."""
        return self.root / "model"


def verify_where_it_lies(
    ref: str | os.PathLike[str],
    trust: Trust | Path | str | None,
    registry_uri: str | None = None,
    progress: Progress = silent,
) -> Verified:
    """Verify without keeping a copy; see ``client.load.verify``."""
    return verified_where_it_lies(ref, trust, registry_uri, progress).verified


def verified_where_it_lies(
    ref: str | os.PathLike[str],
    trust: Trust | Path | str | None,
    registry_uri: str | None = None,
    progress: Progress = silent,
) -> VerifiedStatements:
    """All that was signed of a Release, its bytes verified by every digest; raises what ``verify`` raises."""
    from registry_gate.signing.verify import check_whole, counted

    try:
        with open_release(ref, trust, registry_uri) as release:
            told = counted(release.found.manifest, progress)
            for file in release.found.manifest.files:
                check_whole(release.source, file, told)
            return release.found
    except OSError as error:
        raise FetchError("cannot-read-release", f"{str(ref)[:200]!r}: {error.strerror or error}") from error


def copy_to(
    ref: str | os.PathLike[str],
    trust: Trust | Path | str | None,
    destination: Path,
    registry_uri: str | None = None,
    progress: Progress = silent,
) -> PrivateCopy:
    """Fetch, verify and copy a Release into a new folder; on any error nothing of it is left.

    Raises:
        registry_gate.errors.Error: every refusal and failure.
    """
    from registry_gate.signing.verify import copy_verified

    try:
        with open_release(ref, trust, registry_uri) as release:
            copy_verified(release.source, release.found, destination, progress)
            return PrivateCopy(destination, release.found.verified)
    except OSError as error:
        remove(destination)
        raise ToolError("copy-failed", f"{destination}: {error.strerror or error}") from error
    except BaseException:
        remove(destination)
        raise


def make_read_only(root: Path) -> None:
    """Take the write permission from every file and folder of a verified copy, and tell the guard of it."""
    for folder, _, files in os.walk(root):
        for name in files:
            (Path(folder) / name).chmod(0o400)
        Path(folder).chmod(0o500)
    handed_out.record(root)


def remove(root: Path) -> None:
    """Delete a copy, read-only or not; what is not there is no error."""
    for folder, _, _ in os.walk(root):
        Path(folder).chmod(0o700)
    shutil.rmtree(root, ignore_errors=True)
