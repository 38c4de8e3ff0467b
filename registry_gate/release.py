"""What leaves the corridor: Manifest, Terms, Release, Receipt, and what a verifier learns: Verified."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from registry_gate.candidate import Sha256, SourceKind
from registry_gate.hashing import SHA256, AlgorithmName, Hex, is_sha256
from registry_gate.record import Record, canonical_json

BOM_FILE = "bom.cdx.json"
"""The bill of materials, under ``model/``: written by the gate, never by a candidate."""

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class ManifestFile(Record):
    """One file under ``model/``.

    ``chunks`` are digests, by ``algorithm``, of consecutive pieces that end at the bytes ``chunk_ends``,
    aligned to tensors, or where that is empty are ``chunk_size`` long.
    """

    name: str
    size: int = Field(ge=0)
    sha256: Sha256
    chunk_size: int = Field(gt=0)
    chunk_ends: tuple[int, ...] = ()
    algorithm: AlgorithmName = Field(default=SHA256, exclude_if=is_sha256)
    chunks: tuple[Hex, ...]

    def pieces(self) -> tuple[int, ...]:
        """The byte after the last of each piece, in order."""
        return self.chunk_ends or tuple(
            min(end, self.size)
            for end in range(self.chunk_size, self.size + self.chunk_size, self.chunk_size)
        )


class Manifest(Record):
    """Every file under ``model/``, sorted by name; its digest is the subject of every statement."""

    version: Literal[1] = 1
    files: tuple[ManifestFile, ...]

    @property
    def total_size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def files_digest(self) -> str:
        """Names, sizes and sha256 of all files but the gate's own: the same whenever they are admitted."""
        carried = [[file.name, file.size, file.sha256] for file in self.files if file.name != BOM_FILE]
        return f"sha256:{sha256(canonical_json(carried)).hexdigest()}"


class Source(Record):
    """Where the model came from: a name means something only together with kind and endpoint."""

    kind: SourceKind
    endpoint: str
    id: str
    commit: str

    @property
    def uri(self) -> str:
        """One line for people and for the verdict's ``resourceUri``."""
        if self.kind is SourceKind.FOLDER:
            return f"folder:{self.id}@{self.commit}"
        return f"{self.endpoint}/{self.id}@{self.commit}"


class Terms(Record):
    """What the gate itself adds when it signs: its own sequence number and the validity of the verdict."""

    sequence: int = Field(ge=1)
    issued_at: AwareDatetime
    expires_at: AwareDatetime


class Release(Record):
    """A signed directory: ``model/`` and ``attestations/``.

    ``signed_by`` is the key id, or identity and issuer.
    """

    root: Path = Field(default=Path(), exclude=True)
    registered_name: str
    source: Source
    terms: Terms
    manifest_digest: Digest
    files_digest: Digest
    policy_digest: Digest
    evidence_digest: Digest
    signed_by: str
    files: int
    size: int


class Receipt(Record):
    """The registry's address for a Release. ``version`` is MLflow's, an address only and re-usable."""

    registry_uri: str
    registered_name: str
    alias: str
    version: int
    run_id: str
    source_uri: str
    manifest_digest: Digest
    sequence: int
    registered_at: AwareDatetime


class Verified(Record):
    """What a verified signature says; ``name`` is the registered name, ``id`` the exact source id.

    ``files_digest`` is that of the manifest without the bill of materials, which each admission writes anew.
    ``signed_by`` is the key id, or identity and issuer of a keyless signature, or name and root of a
    certificate.
    """

    name: str
    id: str
    kind: SourceKind
    endpoint: str
    commit: str
    sequence: int
    manifest_digest: Digest
    files_digest: Digest
    policy_name: str
    policy_digest: Digest
    evidence_digest: Digest
    gate_version: str
    verifier: str
    signed_by: str
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    files: int
    size: int
