"""Is the registry there, and does it still hold what was admitted, to the byte?"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib import metadata
from pathlib import Path

from registry_gate.client.rest import RestRegistry
from registry_gate.errors import FetchError
from registry_gate.operate.doctor.probe import Installation, Probe, Said, failed, not_set_up, ok, unknown
from registry_gate.registry_audit import AuditedVersion, State, audit_sample
from registry_gate.settings import Settings

_SQLITE = "sqlite:///"
_SHOWN = 5
_CHANGED = "version-reused"


def database(settings: Settings) -> Path | None:
    """The database file of an embedded registry, None for a server."""
    return Path(settings.registry_uri.removeprefix(_SQLITE)) if settings.artifact_root else None


def _reachable(installation: Installation) -> Said:
    embedded = database(installation.settings)
    client = metadata.version("mlflow")
    if embedded is not None:
        return _embedded(embedded, client)
    uri = installation.settings.registry_uri
    try:
        greeting = RestRegistry(uri).greet()
    except FetchError as error:
        return failed(error.message, error.todo)
    took = (greeting.answered - greeting.asked).total_seconds() * 1000
    measured = f"{uri}: MLflow {greeting.version[:40]!a} in {took:.0f} ms; the client is {client}"
    if greeting.version.split(".")[0] != client.split(".")[0]:
        return failed(measured, "bring server and client to the same major version of MLflow")
    return ok(measured)


def _embedded(path: Path, client: str) -> Said:
    if not path.exists():
        return not_set_up("an embedded store, not made yet: the first admission makes it")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if said != "ok":
        return failed(f"{path}: {said}", "restore the registry's database from a backup")
    return ok(f"embedded store {path}, MLflow {client}")


def _unaltered(installation: Installation) -> Said:
    """Verify versions in full: those that an alias leads to first, then others, by lot."""
    settings, trust = installation.settings, installation.trust
    embedded = database(settings)
    if trust.index is None or (embedded is not None and not embedded.exists()):
        return not_set_up("nothing was registered yet")
    rows, total = audit_sample(settings, trust, installation.sample)
    if changed := [row for row in rows if _altered(row)]:
        shown = "; ".join(_shown(row) for row in changed[:_SHOWN])
        return failed(
            f"{len(changed)} of {len(rows)} versions looked at: {shown}",
            "run `registry-gate audit-registry`, clear or move the alias, and find out who wrote there",
        )
    verified = sum(row.state is State.VERIFIED for row in rows)
    measured = f"{verified} verified of {len(rows)} looked at, of {total} registered"
    if unread := [row for row in rows if row.state is State.UNREADABLE]:
        return unknown(f"{measured}; not readable: {_shown(unread[0])}", "see what the store answers")
    return ok(measured)


def _altered(row: AuditedVersion) -> bool:
    """What leads somebody to something else than was admitted, or was changed though nothing leads there."""
    reused = any(note.startswith(_CHANGED) for note in row.notes)
    led = row.alarming and row.state is not State.UNREADABLE
    return led or row.state is State.TAMPERED or reused


def _shown(row: AuditedVersion) -> str:
    return f"{row.name}/{row.version} {row.state.value} ({row.code or '; '.join(row.notes)})"


PROBES = (
    Probe("registry-reachable", "the registry answers, with a version of MLflow that fits", _reachable),
    Probe("registry-unaltered", "what is registered is what was admitted, to the byte", _unaltered),
)
