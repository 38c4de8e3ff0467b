"""Which files of this process were verified: written by the client, read by the guard.

A file is known by device, inode and the time of its last change, so that a file that was changed, or another
one that was given the same inode later, is not taken for it. Standard library only.
"""

from __future__ import annotations

import os

_VERIFIED: set[tuple[int, int, int]] = set()


def record(root: str | os.PathLike[str]) -> None:
    """Every file below a folder was just verified and is now read-only."""
    for folder, _, files in os.walk(root):
        for name in files:
            _VERIFIED.add(_known_by(os.lstat(os.path.join(folder, name))))  # noqa: PTH118 - no pathlib at start


def record_descriptor(descriptor: int) -> None:
    """The file behind a descriptor, a sealed memory file for instance, was just verified."""
    _VERIFIED.add(_known_by(os.fstat(descriptor)))


def is_verified(status: os.stat_result) -> bool:
    """Whether a file is one that was handed out, unchanged since."""
    return _known_by(status) in _VERIFIED


def _known_by(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_dev, status.st_ino, status.st_ctime_ns
