"""Every Release that was admitted, and what has become of it: told by the index, dated by the log.

The index is the authority on what may be loaded: where the trust file names one, what it does not list is not
admitted, whatever the log says. The log is the authority on what was decided, when and why; where no index is
named, it stands alone. A revocation counts wherever it stands: one that only the log has yet is one as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from registry_gate.decision import Verdict
from registry_gate.enforce.audit.document import Standing
from registry_gate.index.check import revocation_of
from registry_gate.index.content import IndexContent, Revocation, RevokedSigner
from registry_gate.log.entries import (
    DecisionBody,
    LogEntry,
    ReceiptBody,
    RenewalBody,
    RevocationBody,
    SignedBody,
)
from registry_gate.release import Source
from registry_gate.settings import DEFAULT_ALIAS


@dataclass(frozen=True, slots=True)
class Admission:
    """One admitted Release. ``standing`` is admitted, superseded or revoked; ``code`` and ``reason`` say why.

    ``versions`` are the registry's numbers for it, ``policy`` and ``evidence_digest`` what the log has of its
    decision; all of them empty where there is no log.
    """

    name: str
    sequence: int
    manifest_digest: str
    source: Source
    recorded_at: datetime
    standing: Standing = Standing.ADMITTED
    code: str = ""
    reason: str = ""
    policy: str = ""
    evidence_digest: str | None = None
    versions: tuple[int, ...] = ()

    @property
    def pin(self) -> str:
        """The reference that leads to just this Release, whatever aliases say."""
        return f"models:/{self.name}@{self.manifest_digest}"


@dataclass(frozen=True, slots=True)
class _Made:
    """A Release as the index lists it, or as far as the log tells it: neither its files nor its signer."""

    name: str
    sequence: int
    manifest_digest: str
    files_digest: str | None
    source: Source
    signed_by: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class _Decided:
    recorded_at: datetime
    policy: str
    evidence_digest: str | None


def admissions(entries: tuple[LogEntry, ...], content: IndexContent | None) -> tuple[Admission, ...]:
    """All that was ever admitted, newest first.

    Args:
        entries: of the log, verified; empty where there is none.
        content: the index, verified; None where the trust file names none.
    """
    made = _listed_in(content) if content else _signed_in(entries)
    revoked = revocations(entries, content)
    gone = [(item, _revocation(item, revoked)) for item in sorted(made, key=_newest)]
    floors = _lowest_standing((item for item, entry in gone if entry is None), content)
    decided, versions = _decided(entries), _versions(entries)
    return tuple(_admission(item, entry, floors, decided, versions) for item, entry in gone)


def current(
    name: str, known: tuple[Admission, ...], content: IndexContent | None, alias: str = DEFAULT_ALIAS
) -> Admission | None:
    """Where the gate left an alias of a name; the newest Release where it never moved it."""
    named = [item for item in known if item.name == name]
    floor = content.floor(name, alias) if content else 1
    return next((item for item in named if item.sequence == floor), named[0] if named else None)


def revocations(entries: tuple[LogEntry, ...], content: IndexContent | None) -> tuple[Revocation, ...]:
    """What the index revokes, and then what the log does."""
    recorded = (entry.body.revocation for entry in entries if isinstance(entry.body, RevocationBody))
    return (*(content.revoked if content else ()), *recorded)


def _newest(item: _Made) -> int:
    return -item.sequence


def _listed_in(content: IndexContent) -> Iterator[_Made]:
    for item in content.listed:
        yield _Made(
            item.name,
            item.sequence,
            item.manifest_digest,
            item.files_digest,
            item.source,
            item.signed_by,
            item.listed_at,
        )


def _signed_in(entries: tuple[LogEntry, ...]) -> Iterator[_Made]:
    """What the log says was decided, and then signed."""
    origins: dict[int, DecisionBody] = {}
    for entry in entries:
        body = entry.body
        if isinstance(body, DecisionBody) and body.verdict is Verdict.ADMIT:
            origins[entry.sequence] = body
        elif isinstance(body, RenewalBody) and body.renewed_sequence in origins:
            origins[entry.sequence] = origins[body.renewed_sequence]
        elif isinstance(body, SignedBody) and (decision := origins.get(body.release_sequence)):
            yield _Made(
                body.registered_name,
                body.release_sequence,
                body.manifest_digest,
                None,
                _source(decision),
                None,
                entry.recorded_at,
            )


def _source(decision: DecisionBody) -> Source:
    asked = decision.candidate
    return Source(kind=asked.kind, endpoint=asked.endpoint, id=asked.id, commit=decision.commit or "")


def _revocation(item: _Made, revoked: tuple[Revocation, ...]) -> Revocation | None:
    return revocation_of(
        revoked,
        name=item.name,
        sequence=item.sequence,
        manifest_digest=item.manifest_digest,
        files_digest=item.files_digest,
        signed_by=item.signed_by,
    )


def _lowest_standing(standing: Iterable[_Made], content: IndexContent | None) -> dict[str, int]:
    """By name the number below which a Release is superseded: the lowest at which an alias was left.

    Where nothing that is not revoked reaches it, the newest that is not revoked stands in.
    """
    floors: dict[str, int] = {}
    for floor in content.floors if content else ():
        floors[floor.name] = min(floor.sequence, floors.get(floor.name, floor.sequence))
    highest: dict[str, int] = defaultdict(int)
    for item in standing:
        highest[item.name] = max(highest[item.name], item.sequence)
    return {name: min(floor, highest[name]) for name, floor in floors.items()}


def _decided(entries: tuple[LogEntry, ...]) -> dict[tuple[str, int], _Decided]:
    """By a Release's name and number, what the log has of the decision that made it."""
    found: dict[tuple[str, int], _Decided] = {}
    for entry in entries:
        body, policy = entry.body, ""
        if isinstance(body, DecisionBody):
            policy = body.policy_name
        elif isinstance(body, RenewalBody):
            before = found.get((body.registered_name, body.renewed_sequence))
            policy = before.policy if before else ""
        else:
            continue
        found[body.registered_name, entry.sequence] = _Decided(
            entry.recorded_at, policy, body.evidence_digest
        )
    return found


def _versions(entries: tuple[LogEntry, ...]) -> dict[tuple[str, int, str], tuple[int, ...]]:
    found: dict[tuple[str, int, str], tuple[int, ...]] = {}
    for receipt in (entry.body.receipt for entry in entries if isinstance(entry.body, ReceiptBody)):
        key = (receipt.registered_name, receipt.sequence, receipt.manifest_digest)
        found[key] = (*found.get(key, ()), receipt.version)
    return found


def _admission(
    item: _Made,
    revoked: Revocation | None,
    floors: dict[str, int],
    decided: dict[tuple[str, int], _Decided],
    versions: dict[tuple[str, int, str], tuple[int, ...]],
) -> Admission:
    standing, code, reason = _standing(item, revoked, floors.get(item.name, 1))
    made = decided.get((item.name, item.sequence)) or _Decided(item.at, "", None)
    return Admission(
        name=item.name,
        sequence=item.sequence,
        manifest_digest=item.manifest_digest,
        source=item.source,
        recorded_at=made.recorded_at,
        standing=standing,
        code=code,
        reason=reason,
        policy=made.policy,
        evidence_digest=made.evidence_digest,
        versions=versions.get((item.name, item.sequence, item.manifest_digest), ()),
    )


def _standing(item: _Made, revoked: Revocation | None, floor: int) -> tuple[Standing, str, str]:
    if revoked is not None:
        code = "key-revoked" if isinstance(revoked, RevokedSigner) else "revoked"
        said = f"sequence {item.sequence} was revoked on {revoked.revoked_at:%Y-%m-%d}: {revoked.reason}"
        return Standing.REVOKED, code, said
    if item.sequence < floor:
        said = f"sequence {item.sequence}; the gate left its aliases at {floor} or higher"
        return Standing.SUPERSEDED, "superseded", said
    return Standing.ADMITTED, "", ""
