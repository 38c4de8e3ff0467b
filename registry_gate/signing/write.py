"""The Release directory itself: the staged files moved into place, and the attestations beside them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from registry_gate.errors import ToolError, UsageError
from registry_gate.release import Manifest
from registry_gate.signing.order import Signed
from registry_gate.signing.statements import MODEL_FOLDER, MODEL_SIG, STATEMENTS


def write_release(staged: Path, manifest: Manifest, signed: Signed, destination: Path) -> None:
    """Move the files of the manifest from ``staged`` into a new Release folder.

    Raises:
        UsageError: ``release-exists``.
        ToolError: ``release-not-written``.
    """
    try:
        destination.mkdir(mode=0o700, parents=True)
        for file in manifest.files:
            target = destination / MODEL_FOLDER / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(staged / file.name, target)
        (destination / "attestations").mkdir()
        _write_synced(destination / MODEL_SIG, signed.model_sig.encode())
        _write_synced(destination / STATEMENTS, b"".join(line.encode() + b"\n" for line in signed.statements))
    except FileExistsError as error:
        raise UsageError("release-exists", f"{destination} is there already") from error
    except OSError as error:
        raise ToolError(
            "release-not-written", f"{destination}: {error}", todo="make room, run again"
        ) from error


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
