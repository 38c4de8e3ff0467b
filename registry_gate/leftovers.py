"""What a killed admission left behind, gathered so that the next one of the same name need not start anew.

Nothing kept is believed: a fetched file counts once all of it has been hashed and is what the listing states,
and a staged file is compared, byte by byte, with what the conversion would write. No record of what had been
verified is kept, because whoever could change the bytes could change the record.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

FETCHED = Path("kept") / "snapshot"
"""Where fetched files wait, inside the private folder of an admission."""
STAGED = Path("kept") / "staged"
"""Where staged files wait."""
_PLACES = (
    (Path("snapshot"), FETCHED),
    (FETCHED, FETCHED),
    (Path("staged"), STAGED),
    (Path("staged.partial"), STAGED),
    (STAGED, STAGED),
)


def gather(leftover: Path, workspace: Path) -> None:
    """Move the fetched and staged files of a killed run into a new private folder; delete the rest.

    Of two files of one name the longer one is kept: it is the one that got further.

    Args:
        leftover: the folder of a run that is no more.
        workspace: the folder of the run that begins, on the same disk.

    Raises:
        OSError: a file could not be moved.
    """
    for place, kept in _PLACES:
        for path, size in _regular(leftover / place):
            target = workspace / kept / path.relative_to(leftover / place)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not target.exists() or target.stat().st_size < size:
                path.replace(target)
    shutil.rmtree(leftover, ignore_errors=True)


def take_up(kept: Path, target: Path, limit: int) -> int:
    """Move one kept file to where it belongs.

    Args:
        kept: where it waits, if it is there at all.
        target: absent; its folder exists.
        limit: bytes that the file may have at most.

    Returns:
        Its size, 0 where there is no such file that is ours alone and no longer than ``limit``.

    Raises:
        OSError: it could not be moved.
    """
    try:
        found = kept.lstat()
    except OSError:
        return 0
    ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid() and found.st_nlink == 1
    if not ours or not 0 < found.st_size <= limit:
        return 0
    kept.replace(target)
    return found.st_size


def _regular(root: Path) -> Iterator[tuple[Path, int]]:
    """Every regular file below a folder, never through a link, with its size."""
    if root.is_symlink():
        return
    for folder, _, names in os.walk(root, followlinks=False):
        for name in names:
            path = Path(folder) / name
            found = path.lstat()
            if stat.S_ISREG(found.st_mode):
                yield path, found.st_size
