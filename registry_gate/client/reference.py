"""What a person writes to name an admitted model, taken apart."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from registry_gate.errors import UsageError

_REGISTERED = re.compile(r"models:/([^/:@]+)(?:@([^/:@]+)|/([0-9]{1,9}))")
_PINNED = re.compile(r"models:/([^/:@]+)@(sha256:[0-9a-f]{64})")
_FOLDER_LIKE = ("/", "./", "../", "~")
_MAX_REFERENCE = 4096


@dataclass(frozen=True)
class Reference:
    """A folder, or a registered name with an alias, a version, or the digest of its manifest.

    ``id`` is there where the source id was given.
    """

    folder: Path | None = None
    name: str | None = None
    alias: str | int | None = None
    id: str | None = None
    manifest: str | None = None


def parse(ref: str | os.PathLike[str], alias: str) -> Reference:
    """Read ``org/model``, ``models:/name`` with ``@alias``, ``/3`` or ``@sha256:...``, or a folder's path.

    Text that could be a model id is one, whatever lies in the working folder: a folder so named is written
    ``./org/model``.

    Args:
        ref: the reference; a ``Path`` is always a folder.
        alias: the alias that a plain id stands for.

    Raises:
        UsageError: ``bad-reference``.
    """
    if not isinstance(ref, str):
        return Reference(folder=_expanded(Path(ref)))
    if not ref or len(ref) > _MAX_REFERENCE or "\0" in ref:
        raise _bad(ref)
    if ref.startswith("models:"):
        return _registered(ref)
    if ref.startswith(_FOLDER_LIKE) or ref in (".", "..") or ref.endswith("/"):
        return Reference(folder=_expanded(Path(ref)))
    return _identified(ref, alias)


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise _bad(str(path)) from error


def _registered(ref: str) -> Reference:
    if pinned := _PINNED.fullmatch(ref):
        return Reference(name=pinned[1], manifest=pinned[2])
    match = _REGISTERED.fullmatch(ref)
    if match is None:
        raise _bad(ref)
    name, alias, version = match.groups()
    return Reference(name=name, alias=alias if version is None else int(version))


def _identified(ref: str, alias: str) -> Reference:
    from registry_gate.candidate import registered_name

    try:
        name = registered_name(ref)
    except UsageError as error:
        if _is_folder(ref):
            return Reference(folder=Path(ref))
        raise _bad(ref) from error
    return Reference(name=name, alias=alias, id=ref)


def _is_folder(ref: str) -> bool:
    try:
        return Path(ref).is_dir()
    except OSError:  # too long for a path
        return False


def _bad(ref: str) -> UsageError:
    return UsageError(
        "bad-reference",
        f"{ref[:200]!r} names no model",
        todo="write org/model, models:/name@alias, models:/name/3, models:/name@sha256:<manifest digest>, "
        "or a folder as ./folder",
    )
