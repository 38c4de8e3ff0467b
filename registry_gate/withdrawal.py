"""``revoke``: what was admitted is admitted no more: in the log first, then in the index."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from registry_gate.client.find import release_source
from registry_gate.client.reference import Reference, parse
from registry_gate.errors import UsageError
from registry_gate.index.check import judge
from registry_gate.index.content import Revocation, RevokedRelease
from registry_gate.index.edits import with_floor, with_revoked
from registry_gate.ledger import Ledger
from registry_gate.log.entries import RevocationBody
from registry_gate.registry import Registry
from registry_gate.release import Verified
from registry_gate.settings import DEFAULT_ALIAS
from registry_gate.signing.verify import read_statements

_DIGEST = "sha256:"


@dataclass(frozen=True)
class Revoked:
    """What was revoked; ``new`` is False where it had been already."""

    revocation: Revocation
    new: bool


def revoke(ledger: Ledger, revocation: Revocation) -> Revoked:
    """Record a revocation and put it into the index; done twice, it is there once.

    Killed between the two, the next call finishes.

    Raises:
        ToolError: ``log-not-written``, ``index-not-written``.
    """
    ignored = {"reason", "revoked_at"}
    wanted = revocation.model_dump(exclude=ignored)
    before = ledger.index.content().revoked
    recorded = (entry.body for entry in ledger.log.entries())
    if not any(
        isinstance(body, RevocationBody) and body.revocation.model_dump(exclude=ignored) == wanted
        for body in recorded
    ):
        ledger.log.append(RevocationBody(revocation=revocation))
    after = ledger.witness(lambda content: with_revoked(content, revocation)).revoked
    return Revoked(revocation, new=after != before)


def named_release(ledger: Ledger, what: str, reason: str) -> RevokedRelease:
    """The revocation of what a manifest digest or a reference names.

    Raises:
        VerificationError: what the reference leads to bears no good signature: name its manifest digest.
        UsageError: ``bad-reference``.
    """
    if what.startswith(_DIGEST):
        digest, files = what, _files_listed(ledger, what)
    else:
        said = _signed(ledger, parse(what, DEFAULT_ALIAS))
        digest, files = said.manifest_digest, said.files_digest
    try:
        return RevokedRelease(
            manifest_digest=digest, files_digest=files, reason=reason, revoked_at=datetime.now(UTC)
        )
    except ValueError as error:
        raise UsageError("bad-reference", f"{what[:100]!r} is not sha256:<64 hex digits>") from error


def _files_listed(ledger: Ledger, manifest_digest: str) -> str | None:
    listed = ledger.index.content().listed
    return next((item.files_digest for item in listed if item.manifest_digest == manifest_digest), None)


def clear_alias(ledger: Ledger, what: str) -> str:
    """Delete the alias that a reference names; returns what was done.

    Raises:
        UsageError: ``no-alias`` where the reference names none.
    """
    name, alias = _alias(what)
    Registry(ledger.settings.registry_uri).delete_alias(name, alias)
    return f"alias {alias} of {name} is cleared"


def check_moves(ledger: Ledger, what: str, version: int) -> None:
    """Refuse to revoke what is to stay: an alias that was moved already leads to the good version.

    Raises:
        UsageError: ``alias-already-there``: run twice, the same command would revoke what it moved to.
    """
    name, alias = _alias(what)
    current = Registry(ledger.settings.registry_uri).version_for(name, alias)
    if current is not None and current.version == version:
        raise UsageError(
            "alias-already-there",
            f"alias {alias} of {name} leads to version {version} already",
            why="what the reference leads to would be revoked, and that is what is to stay",
            todo="to revoke another version, name it: models:/NAME/VERSION or sha256:...",
        )


def move_alias_back(ledger: Ledger, what: str, version: int) -> str:
    """Point the alias that a reference names at an older version, verified first; returns what was done.

    Raises:
        VerificationError: that version does not verify, or is not in the index; nothing is moved.
    """
    name, alias = _alias(what)
    there = _signed(ledger, Reference(name=name, alias=version))
    judge(ledger.index.content(), there)
    ledger.witness(lambda content: with_floor(content, name, alias, there.sequence))
    Registry(ledger.settings.registry_uri).set_alias(name, alias, version)
    return f"alias {alias} of {name} is at version {version}, sequence {there.sequence}"


def _alias(what: str) -> tuple[str, str]:
    reference = parse(what, DEFAULT_ALIAS)
    if reference.name is None or not isinstance(reference.alias, str):
        raise UsageError(
            "no-alias", f"{what[:200]!r} names no alias", todo="write org/model, or models:/name@alias"
        )
    return reference.name, reference.alias


def _signed(ledger: Ledger, reference: Reference) -> Verified:
    """What the statements say of what a reference leads to; the bytes may be damaged."""
    with release_source(reference, ledger.settings) as source:
        return read_statements(
            source, ledger.trust, expect_name=reference.name, expect_id=reference.id
        ).verified
