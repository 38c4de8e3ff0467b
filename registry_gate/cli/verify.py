"""``registry-gate verify``: is this what the gate admitted, to the last byte?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry_gate.cli.show import Format, emit, progress_bars

if TYPE_CHECKING:
    from registry_gate.release import Verified

ModelReference = Annotated[
    str,
    typer.Argument(
        metavar="REF|FOLDER",
        help="org/model, models:/name@alias, models:/name/3, or the folder of a Release (./folder).",
    ),
]
TrustFile = Annotated[
    Path | None,
    typer.Option(help="Trust file to use instead of your own; it cannot widen the administrator's."),
]
RegistryUri = Annotated[str | None, typer.Option(help="MLflow tracking URI; the settings' own by default.")]
OutputFormat = Annotated[Format, typer.Option("--format", help="text for people, json for programs.")]


def verify(
    ref: ModelReference,
    trust: TrustFile = None,
    registry_uri: RegistryUri = None,
    format_: OutputFormat = Format.TEXT,
) -> None:
    """Verify a model: signature, signer, verdict, policy, expiry, file names and every byte.

    Exit status 0 means verified, 2 that something is not what was signed. It holds for this moment: to use a
    model, load it with `load_verified` or copy it with `pull`.
    """
    from registry_gate.client import verify as verify_release

    with progress_bars() as progress:
        verified = verify_release(ref, trust=trust, registry_uri=registry_uri, progress=progress)
    show_verified(verified, format_)


def show_verified(verified: Verified, format_: Format, *facts: tuple[str, str]) -> None:
    """Print what was verified; ``facts`` are further lines of the text."""
    if format_ is Format.JSON:
        emit(verified.model_dump_json(indent=2) + "\n", None)
        return
    lines = [
        ("verified", f"{verified.id} ({verified.name}), {verified.files} files, {verified.size:,} bytes"),
        ("source", f"{verified.kind.value} {verified.endpoint} {verified.commit}".replace("  ", " ")),
        ("policy", f"{verified.policy_name} {verified.policy_digest}"),
        ("signed by", f"{verified.signed_by} as {verified.verifier}"),
        ("valid", f"{verified.issued_at:%Y-%m-%d %H:%M} to {verified.expires_at:%Y-%m-%d %H:%M} UTC"),
        ("sequence", str(verified.sequence)),
        ("manifest", verified.manifest_digest),
        *facts,
    ]
    emit("".join(f"{label:<10} {text}\n" for label, text in lines), None)
