"""A copy of a Release that only this user can reach, verified while it was written, and deleted after use."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from registry_gate.client.find import release_source
from registry_gate.client.reference import parse
from registry_gate.errors import FetchError, ToolError
from registry_gate.progress import Progress, silent

if TYPE_CHECKING:
    from registry_gate.release import Verified
    from registry_gate.signing.trust import Trust


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
    from registry_gate import settings as settings_module
    from registry_gate.index.check import require_listed
    from registry_gate.signing.trust import effective_trust
    from registry_gate.signing.verify import check_files, read_statements

    settings = settings_module.load(registry_uri=registry_uri)
    accepted = effective_trust(settings, trust)
    reference = parse(ref, settings_module.DEFAULT_ALIAS)
    try:
        with release_source(reference, settings) as source:
            found = read_statements(source, accepted, expect_name=reference.name, expect_id=reference.id)
            require_listed(found.verified, settings, accepted, alias=reference.alias)
            check_files(source, found.manifest, progress)
            return found.verified
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
    from registry_gate import settings as settings_module
    from registry_gate.index.check import require_listed
    from registry_gate.signing.trust import effective_trust
    from registry_gate.signing.verify import copy_verified, read_statements

    settings = settings_module.load(registry_uri=registry_uri)
    accepted = effective_trust(settings, trust)
    reference = parse(ref, settings_module.DEFAULT_ALIAS)
    try:
        with release_source(reference, settings) as source:
            found = read_statements(source, accepted, expect_name=reference.name, expect_id=reference.id)
            require_listed(found.verified, settings, accepted, alias=reference.alias)
            copy_verified(source, found, destination, progress)
    except OSError as error:
        remove(destination)
        raise ToolError("copy-failed", f"{destination}: {error.strerror or error}") from error
    except BaseException:
        remove(destination)
        raise
    return PrivateCopy(destination, found.verified)


@contextmanager
def private_copy(ref: str | os.PathLike[str], trust: Trust | Path | str | None) -> Iterator[PrivateCopy]:
    """A read-only private copy for the time of a ``with``; deleted at its end, whatever happened."""
    scratch = Path(tempfile.mkdtemp(prefix="registry-gate-load-"))
    try:
        copied = copy_to(ref, trust, scratch / "release")
        make_read_only(copied.root)
        yield copied
    finally:
        remove(scratch)


def make_read_only(root: Path) -> None:
    """Take the write permission from every file and folder of a copy."""
    for folder, _, files in os.walk(root):
        for name in files:
            (Path(folder) / name).chmod(0o400)
        Path(folder).chmod(0o500)


def remove(root: Path) -> None:
    """Delete a copy, read-only or not; what is not there is no error."""
    for folder, _, _ in os.walk(root):
        Path(folder).chmod(0o700)
    shutil.rmtree(root, ignore_errors=True)
