"""``registry-gate audit-registry``: every registered version, and what it is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from registry_gate.cli.show import Format, emit, progress_bars
from registry_gate.cli.verify import RegistryUri, TrustFile

if TYPE_CHECKING:
    from registry_gate.registry_audit import AuditedVersion, State


def audit_registry(
    trust: TrustFile = None,
    registry_uri: RegistryUri = None,
    format_: Annotated[
        Format, typer.Option("--format", help="text, or json: one version a line.")
    ] = Format.TEXT,
) -> int:
    """Verify every registered version in full and name it: verified, unsigned, tampered, revoked, stale...

    Also superseded (an alias leads to an older Release than the gate left it at), unlisted (signed, but the
    gate never listed it: so a stolen key looks) and unreadable. Notes name tags that were changed and version
    numbers that MLflow used again. Exit status 2 if an alias leads to anything that is not verified.
    """
    from registry_gate import settings
    from registry_gate.registry_audit import audit, counted
    from registry_gate.signing.trust import effective_trust

    loaded = settings.load(registry_uri=registry_uri)
    accepted = effective_trust(loaded, trust)
    states: Counter[State] = Counter()
    alarming = 0
    with progress_bars() as progress:
        for row in audit(loaded, accepted, progress):
            states[row.state] += 1
            alarming += row.alarming
            emit(row.canonical().decode() + "\n" if format_ is Format.JSON else _text(row), None)
    if format_ is Format.TEXT:
        emit(f"{counted(states)}; {alarming} under an alias and not verified\n", None)
    return 2 if alarming else 0


def _text(row: AuditedVersion) -> str:
    from registry_gate.report.escape import for_terminal

    aliases = "".join(f" @{alias}" for alias in row.aliases)
    lines = [f"{row.state.value:<11} {row.name}/{row.version}{aliases}"]
    if row.code:
        lines.append(f"            {row.code}: {row.message}")
    lines += [f"            {note}" for note in row.notes]
    return "".join(f"{for_terminal(line)}\n" for line in lines)
