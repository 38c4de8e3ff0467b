"""``registry-gate pull``: a verified copy of a whole Release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from registry_gate.cli.show import Format, progress_bars
from registry_gate.cli.verify import ModelReference, OutputFormat, RegistryUri, TrustFile, show_verified


def pull(
    ref: ModelReference,
    dest: Annotated[
        Path, typer.Argument(metavar="DEST", help="Folder to make; it must not exist, or be empty.")
    ],
    trust: TrustFile = None,
    registry_uri: RegistryUri = None,
    format_: OutputFormat = Format.TEXT,
) -> None:
    """Copy a model's Release, verified while it is copied; DEST appears whole or not at all.

    The files are read-only, and the promise ends when the copy is made: who can write there can change them.
    Run `verify DEST` later to look again.
    """
    from registry_gate.client.pull import pull as pull_release

    with progress_bars() as progress:
        verified = pull_release(ref, dest, trust=trust, registry_uri=registry_uri, progress=progress)
    show_verified(verified, format_, ("copied to", str(dest)))
