"""The one question before anything loads: does the index, now, say that this Release may be used?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from registry_gate.errors import VerificationError
from registry_gate.index.content import (
    IndexContent,
    Revocation,
    RevokedRelease,
    RevokedSequences,
    RevokedSigner,
)
from registry_gate.index.read import read_index
from registry_gate.signing.refusal import refusal, shown

if TYPE_CHECKING:
    from registry_gate.release import Verified
    from registry_gate.settings import Settings
    from registry_gate.signing.trust import Trust


def require_listed(
    verified: Verified, settings: Settings, trust: Trust, *, alias: str | int | None = None
) -> None:
    """Refuse what the index does not list, or has revoked.

    Args:
        verified: what the signed statements of the Release say, verified.
        settings: name the place of the index and of this user's memory of it.
        trust: holds the index's root.
        alias: the alias through which the Release was found; None, or a version number, where it was asked
            for by number or by folder: an older Release is then what was wanted.

    Raises:
        VerificationError: ``no-index``, ``index-untrusted``, ``index-stale``, ``index-rolled-back``,
            ``key-revoked``, ``revoked``, ``not-in-index``, ``superseded``.
        FetchError: ``index-unreachable``.
    """
    judge(read_index(settings, trust), verified, alias)


def judge(content: IndexContent, verified: Verified, alias: str | int | None = None) -> None:
    """Hold a Release against one state of the index; pure, raises what ``require_listed`` raises last."""
    check_revoked(content, verified)
    same = [item for item in content.listed if item.manifest_digest == verified.manifest_digest]
    if not any(item.is_of(verified) for item in same):
        detail = "; its bytes are listed under another name, number or signer" if same else ""
        raise refusal(
            "not-in-index",
            f"{verified.name} sequence {verified.sequence} ({verified.manifest_digest}) is signed but not in "
            f"index {content.number}{detail}",
        )
    if isinstance(alias, str) and verified.sequence < (floor := content.floor(verified.name, alias)):
        raise refusal(
            "superseded",
            f"alias {shown(alias)} of {verified.name} was left at sequence {floor}, and leads to sequence "
            f"{verified.sequence} now",
        )


def check_revoked(content: IndexContent, verified: Verified) -> None:
    """Refuse what was revoked: ``key-revoked`` or ``revoked``."""
    entry = revocation_of(
        content.revoked,
        name=verified.name,
        sequence=verified.sequence,
        manifest_digest=verified.manifest_digest,
        files_digest=verified.files_digest,
        signed_by=verified.signed_by,
    )
    if entry is not None:
        raise revoked(entry, f"{verified.name} sequence {verified.sequence}")


def revoked(entry: Revocation, what: str) -> VerificationError:
    """The refusal of what a revocation covers."""
    when = f"on {entry.revoked_at:%Y-%m-%d %H:%M} UTC: {shown(entry.reason)}"
    if isinstance(entry, RevokedSigner):
        return refusal("key-revoked", f"signer {shown(entry.signed_by)} was revoked {when}")
    return refusal("revoked", f"{what} was revoked {when}")


def revocation_of(
    revoked: Iterable[Revocation],
    *,
    name: str,
    sequence: int,
    manifest_digest: str | None,
    files_digest: str | None = None,
    signed_by: str | None,
) -> Revocation | None:
    """The first revocation that covers a Release; None where none does.

    A signer that is not known (None) could be any: a revoked one's number decides then.
    """
    for entry in revoked:
        if isinstance(entry, RevokedRelease):
            covers = entry.manifest_digest == manifest_digest
            covers |= entry.files_digest is not None and entry.files_digest == files_digest
        elif isinstance(entry, RevokedSequences):
            covers = entry.name in (None, name) and entry.first <= sequence <= entry.last
        else:
            covers = signed_by in (None, entry.signed_by) and sequence >= entry.since
        if covers:
            return entry
    return None
