"""``audit-registry``: every registered version, verified in full and given a name for what it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from random import SystemRandom

from registry_gate.client.find import stored_release
from registry_gate.errors import FetchError, VerificationError
from registry_gate.index.check import judge
from registry_gate.index.content import IndexContent
from registry_gate.index.read import read_index
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.log.entries import ReceiptBody
from registry_gate.progress import Progress, silent
from registry_gate.record import Record
from registry_gate.registry import RegisteredVersion, Registry
from registry_gate.release import Verified
from registry_gate.settings import Settings
from registry_gate.signing.trust import Trust
from registry_gate.signing.verify import check_files, read_statements


class State(StrEnum):
    """What a registered version is."""

    VERIFIED = "verified"
    UNSIGNED = "unsigned"
    TAMPERED = "tampered"
    REVOKED = "revoked"
    STALE = "stale"
    SUPERSEDED = "superseded"
    UNLISTED = "unlisted"
    UNREADABLE = "unreadable"


_STATE = {
    "no-signature": State.UNSIGNED,
    "untrusted-key": State.UNSIGNED,
    "untrusted-identity": State.UNSIGNED,
    "untrusted-certificate": State.UNSIGNED,
    "revoked": State.REVOKED,
    "key-revoked": State.REVOKED,
    "expired": State.STALE,
    "not-yet-valid": State.STALE,
    "key-retired": State.STALE,
    "wrong-policy": State.STALE,
    "certificate-expired": State.STALE,
    "superseded": State.SUPERSEDED,
    "not-in-index": State.UNLISTED,
}
"""Every other refusal means that something was changed."""


class AuditedVersion(Record):
    """One version; ``code`` and ``message`` are of the refusal, ``notes`` what verification does not ask."""

    name: str
    version: int
    aliases: tuple[str, ...]
    state: State
    code: str = ""
    message: str = ""
    sequence: int | None = None
    manifest_digest: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def alarming(self) -> bool:
        """Whether an alias leads somebody to something that does not verify."""
        return bool(self.aliases) and self.state is not State.VERIFIED


def audit(settings: Settings, trust: Trust, progress: Progress = silent) -> Iterator[AuditedVersion]:
    """Verify every version of every name, one at a time; ``progress`` is told names done and in all.

    What is remembered is one row at a time, and from the log an address and a digest a receipt.

    Raises:
        VerificationError: the index or the log itself cannot be believed.
        ToolError: ``registry-failed``.
    """
    content = read_index(settings, trust)
    receipts = _receipts(settings, trust)
    if (
        settings.artifact_root is not None
        and not Path(settings.registry_uri.removeprefix("sqlite:///")).exists()
    ):
        return  # opening an embedded store makes it; looking should not
    registry = Registry(settings.registry_uri)
    names = registry.names()
    for done, (name, aliases) in enumerate(names.items()):
        progress("audit", done, len(names))
        for version in registry.versions(name):
            held = tuple(sorted(alias for alias, number in aliases.items() if number == version.version))
            yield _audited(version, held, settings, trust, content, receipts)
    progress("audit", len(names), len(names))


def audit_sample(settings: Settings, trust: Trust, limit: int) -> tuple[tuple[AuditedVersion, ...], int]:
    """Verify at most ``limit`` versions: those that an alias leads to before the others, each by lot.

    Returns:
        The versions looked at, and how many there are. Raises what ``audit`` raises.
    """
    content = read_index(settings, trust)
    receipts = _receipts(settings, trust)
    registry = Registry(settings.registry_uri)
    found: list[tuple[RegisteredVersion, tuple[str, ...]]] = []
    for name, aliases in registry.names().items():
        for version in registry.versions(name):
            held = tuple(sorted(alias for alias, number in aliases.items() if number == version.version))
            found.append((version, held))
    SystemRandom().shuffle(found)
    found.sort(key=lambda item: not item[1])
    rows = (_audited(version, held, settings, trust, content, receipts) for version, held in found[:limit])
    return tuple(rows), len(found)


def counted(rows: Counter[State]) -> str:
    """The totals as one line."""
    return ", ".join(f"{rows[state]} {state.value}" for state in State if rows[state]) or "no versions"


def _audited(
    version: RegisteredVersion,
    aliases: tuple[str, ...],
    settings: Settings,
    trust: Trust,
    content: IndexContent,
    receipts: dict[tuple[str, int], str],
) -> AuditedVersion:
    row = AuditedVersion(name=version.name, version=version.version, aliases=aliases, state=State.VERIFIED)
    expected = receipts.get((version.name, version.version))
    verified: Verified | None = None
    problem: dict[str, object] = {}
    try:
        with stored_release(version.source_uri, settings.registry_uri) as source:
            found = read_statements(source, trust, expect_name=version.name)
            verified = found.verified
            for alias in aliases or (None,):
                judge(content, verified, alias)
            check_files(source, found.manifest)
    except VerificationError as error:
        problem = {
            "state": _STATE.get(error.code, State.TAMPERED),
            "code": error.code,
            "message": error.message,
        }
    except (FetchError, OSError) as error:
        code = error.code if isinstance(error, FetchError) else "cannot-read-release"
        problem = {"state": State.UNREADABLE, "code": code, "message": str(error)}
    if verified is not None:
        problem |= {"sequence": verified.sequence, "manifest_digest": verified.manifest_digest}
    unsigned = problem.get("state") is State.UNSIGNED
    notes = _notes(version, verified, expected, unsigned=unsigned)
    return row.model_copy(update=problem | {"notes": notes})


def _notes(
    version: RegisteredVersion, verified: Verified | None, expected: str | None, *, unsigned: bool
) -> tuple[str, ...]:
    """What the registry's record says that the signed statements, or the log, do not."""
    found = []
    if verified is not None:
        tags = {
            "commit": (version.commit, verified.commit),
            "sequence": (version.sequence, verified.sequence),
            "manifest": (version.manifest_digest, verified.manifest_digest),
        }
        found = [f"tag-differs: {tag} was changed" for tag, (says, signed) in tags.items() if says != signed]
    actual = verified.manifest_digest if verified else None
    if expected is not None and actual is not None and actual != expected:
        found.append("version-reused: the log has another manifest under this number")
    if expected is not None and unsigned:
        found.append("version-reused: the log has a Release under this number, and this is none")
    if expected is None:
        found.append("not-registered-by-this-gate: the log has no receipt for this number")
    return tuple(found)


def _receipts(settings: Settings, trust: Trust) -> dict[tuple[str, int], str]:
    bodies = (entry.body for entry in AdmissionLog(settings.log, trust).entries())
    return {
        (body.receipt.registered_name, body.receipt.version): body.receipt.manifest_digest
        for body in bodies
        if isinstance(body, ReceiptBody) and body.receipt.registry_uri == settings.registry_uri
    }
