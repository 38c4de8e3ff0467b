"""``scan FOLDER`` and ``scan FILE``: local bytes without an id, so nothing is asked of a name or a source."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from registry_gate.candidate import Candidate, SourceKind
from registry_gate.checks import CHECKS, Stage
from registry_gate.errors import FetchError
from registry_gate.examination import Examination, Options, begin, resume
from registry_gate.policy import Policy
from registry_gate.progress import Progress
from registry_gate.sources import FolderSource

_UNNAMED = Candidate(kind=SourceKind.FOLDER, endpoint="", id="unnamed")
_NEEDS_A_SOURCE = {"repo-name", "provenance", "first-seen", "publisher-signature", "licence", "hub-scan"}
_NEEDS_A_RELEASE = {"weight-set", "convertible"}


def scan_local(
    path: Path, policy: Policy, options: Options, workspace: Path, *, now: datetime, progress: Progress
) -> Examination:
    """Examine a folder, or one file by its bytes and tensors alone.

    Args:
        path: a folder, or a regular file.
        policy: must allow folder sources.
        options: its scope is narrowed further here; the evidence says to what.
        workspace: an empty private folder.
        now: aware time of the examination.
        progress: see :data:`registry_gate.progress.Progress`.

    Raises:
        UsageError, FetchError, ToolError: nothing can be said.
    """
    if path.is_dir():
        source = FolderSource(_UNNAMED, path)
        scope = replace(options, out_of_scope=options.out_of_scope | _NEEDS_A_SOURCE)
    else:
        source = FolderSource(_UNNAMED, _alone(path, workspace))
        stages = frozenset({Stage.FILES, Stage.TENSORS})
        if options.probing.architecture is not None:  # a bare state dict whose network is named
            stages |= {Stage.BEHAVIOUR}
        elsewhere = {check.name for check in CHECKS if check.stage not in stages}
        scope = replace(
            options,
            bare_file=True,
            stages=stages,
            out_of_scope=options.out_of_scope | elsewhere | _NEEDS_A_RELEASE,
        )
    walk = begin(source, policy, scope, workspace, now=now, progress=progress)
    walk.walk("list", walk.list)
    return resume(walk)


def _alone(path: Path, workspace: Path) -> Path:
    """A folder that holds the file and nothing else; a hard link where that is possible."""
    folder = workspace / "file"
    folder.mkdir()
    target = folder / path.name
    if not path.is_file():
        raise FetchError("unreadable", f"{str(path)[:200]!r} is neither a folder nor a regular file")
    try:
        os.link(path.resolve(), target)
    except OSError:
        try:
            shutil.copyfile(path, target)
        except OSError as error:
            raise FetchError("unreadable", f"{path}: {error.strerror}") from error
    return folder
