"""The Release directory itself: the staged files moved into place, and the attestations beside them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from registry_gate.errors import ToolError, UsageError
from registry_gate.release import BOM_FILE
from registry_gate.signing.draft import Draft
from registry_gate.signing.order import Signed
from registry_gate.signing.statements import MODEL_FOLDER, MODEL_SIG, STATEMENTS


def write_release(staged: Path, draft: Draft, signed: Signed, destination: Path) -> None:
    """Move the files of the manifest from ``staged`` into a new Release folder; the gate's own is written.

    Raises:
        UsageError: ``release-exists``.
        ToolError: ``release-not-written``.
    """
    try:
        destination.mkdir(mode=0o700, parents=True)
        for file in draft.manifest.files:
            target = destination / MODEL_FOLDER / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.name == BOM_FILE:
                _write_synced(target, draft.bill_of_materials)
            else:
                shutil.move(staged / file.name, target)
    except FileExistsError as error:
        raise UsageError("release-exists", f"{destination} is there already") from error
    except OSError as error:
        raise _not_written(destination, error) from error
    write_attestations(signed, destination)


def write_attestations(signed: Signed, destination: Path) -> None:
    """Write what was signed beside a ``model`` that is there; raises ToolError ``release-not-written``."""
    try:
        (destination / "attestations").mkdir(mode=0o700)
        _write_synced(destination / MODEL_SIG, signed.model_sig.encode())
        _write_synced(destination / STATEMENTS, b"".join(line.encode() + b"\n" for line in signed.statements))
    except OSError as error:
        raise _not_written(destination, error) from error


def _not_written(destination: Path, error: OSError) -> ToolError:
    return ToolError("release-not-written", f"{destination}: {error}", todo="make room, run again")


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
