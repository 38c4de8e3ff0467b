"""What the index says: what is admitted, what is revoked, where aliases were left, how long the log is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from registry_gate.candidate import Sha256
from registry_gate.record import Record
from registry_gate.release import Digest, Source, Verified

NAME = "index.json"
"""The one target file of the metadata."""


class Listed(Record):
    """One admitted Release. Everything here must be what its signed verdict says."""

    name: str
    sequence: int = Field(ge=1)
    manifest_digest: Digest
    files_digest: Digest
    source: Source
    policy_digest: Digest
    signed_by: str
    listed_at: AwareDatetime

    def is_of(self, verified: Verified) -> bool:
        """Whether a verified Release is this one, in every particular."""
        return self == listed(verified, self.listed_at)


class RevokedRelease(Record):
    """One Release withdrawn, whatever its name and number.

    With ``files_digest`` the same files stay withdrawn when they are admitted again, with another bill of
    materials; None where the gate never listed the manifest and so does not know its files.
    """

    kind: Literal["release"] = "release"
    manifest_digest: Digest
    files_digest: Digest | None = None
    reason: str
    revoked_at: AwareDatetime


class RevokedSequences(Record):
    """All Releases of a name, or of all names, with a number in a range, both ends included."""

    kind: Literal["sequences"] = "sequences"
    name: str | None = None
    first: int = Field(ge=1)
    last: int = Field(ge=1)
    reason: str
    revoked_at: AwareDatetime


class RevokedSigner(Record):
    """A key id or identity believed no more; Releases listed under a lower number than ``since`` stay."""

    kind: Literal["signer"] = "signer"
    signed_by: str
    since: int = Field(default=1, ge=1)
    reason: str
    revoked_at: AwareDatetime


Revocation = Annotated[RevokedRelease | RevokedSequences | RevokedSigner, Field(discriminator="kind")]


class Floor(Record):
    """The lowest number that an alias of a name may lead to: where the gate left it."""

    name: str
    alias: str
    sequence: int = Field(ge=1)


class LogHead(Record):
    """How long the log was, and the digest of its last line."""

    length: int = Field(ge=0)
    line_digest: Sha256


class IndexContent(Record):
    """One state of the index. ``number`` grows with every change; ``hours`` is a timestamp's life."""

    version: Literal[1] = 1
    number: int = Field(ge=1)
    verifier: str
    hours: int = Field(ge=1)
    listed: tuple[Listed, ...] = ()
    revoked: tuple[Revocation, ...] = ()
    floors: tuple[Floor, ...] = ()
    log: LogHead | None = None

    def floor(self, name: str, alias: str) -> int:
        """The lowest number the alias may lead to; 1 where the gate never moved it."""
        found = (item.sequence for item in self.floors if (item.name, item.alias) == (name, alias))
        return next(found, 1)


def listed(verified: Verified, listed_at: AwareDatetime) -> Listed:
    """The entry for a verified Release."""
    return Listed(
        name=verified.name,
        sequence=verified.sequence,
        manifest_digest=verified.manifest_digest,
        files_digest=verified.files_digest,
        source=Source(kind=verified.kind, endpoint=verified.endpoint, id=verified.id, commit=verified.commit),
        policy_digest=verified.policy_digest,
        signed_by=verified.signed_by,
        listed_at=listed_at,
    )
