"""What is wrong with a path that a source states: pure text, so that checks and sources judge alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_MAX_PATH_BYTES = 1024
_MAX_COMPONENT_BYTES = 255
_DRIVE = re.compile(r"^[A-Za-z]:")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def path_hazard(path: str) -> str | None:
    """Say why a path must not become a file name below a folder; None for an ordinary relative path.

    Args:
        path: a path as the source states it, ``/`` between its components.
    """
    if any(unicodedata.category(character) in _INVISIBLE for character in path):
        return "holds a control, invisible or unassigned character"
    if len(path.encode()) > _MAX_PATH_BYTES:
        return f"is longer than {_MAX_PATH_BYTES} bytes"
    if path.startswith("/") or _DRIVE.match(path):
        return "is absolute"
    if "\\" in path:
        return "holds a backslash, a separator on other systems"
    return next((hazard for part in path.split("/") if (hazard := _component_hazard(part))), None)


def _component_hazard(part: str) -> str | None:
    if part in ("", ".", ".."):
        return "has an empty, '.' or '..' component"
    if part.casefold() == ".git":
        return "lies in a version-control folder"
    if len(part.encode()) > _MAX_COMPONENT_BYTES:
        return f"has a component longer than {_MAX_COMPONENT_BYTES} bytes"
    return None


def _fold(path: str) -> str:
    """Two paths with one fold are one file on some file system: case and Unicode composition set aside."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def path_collisions(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of paths that some file system cannot hold apart.

    Twice the same path, two spellings that differ in case or Unicode composition only (folders included),
    and a file where another path needs a folder.
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for path in paths:
        fold = _fold(path)
        if fold in files:
            found.append((files[fold], path))
        files.setdefault(fold, path)
        found += _folder_collisions(path, folders)
    found += [(files[fold], folders[fold]) for fold in sorted(files.keys() & folders.keys())]
    return found


def _folder_collisions(path: str, folders: dict[str, str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    cut = path.find("/")
    while cut != -1:
        folder = path[:cut]
        known = folders.setdefault(_fold(folder), folder)
        if known != folder:
            found.append((known, folder))
        cut = path.find("/", cut + 1)
    return found
