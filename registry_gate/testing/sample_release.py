"""A gate of its own in a temporary folder, and small signed Releases made with it: for tests of verification.

Keys, trust, statements and signatures are real; only the evidence is made up, by this module.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from registry_gate import settings as settings_module
from registry_gate.candidate import Candidate, Listing, SourceKind, registered_name
from registry_gate.decision import decide
from registry_gate.evidence import Evidence, FileFormat, Staged, StagedFile, TensorMeasurement
from registry_gate.finding import CheckResult, Confidence, Severity, Status
from registry_gate.hashing import ALGORITHMS, BLAKE3, SHA256
from registry_gate.index.content import Listed
from registry_gate.index.edits import with_listed
from registry_gate.index.repository import IndexRepository
from registry_gate.index.setup import ensure_index
from registry_gate.policy import (
    Bar,
    Limits,
    PickleAllowList,
    Policy,
    ProtectedNames,
    Provenance,
    TaskRequirement,
)
from registry_gate.registry import RegisteredVersion, Registry, local_path
from registry_gate.release import Release, Terms
from registry_gate.settings import Settings
from registry_gate.signing.authority import Authority
from registry_gate.signing.keys import KeySigner, init_keys, load_signer
from registry_gate.signing.seal import KeySealer
from registry_gate.signing.sign import sign_release
from registry_gate.signing.trust import Trust, load_trust

CHUNK = 64
"""Bytes a chunk in sample Releases: small, so that small files have several."""

FILES = {
    "config.json": b'{"architectures": ["BertModel"], "model_type": "bert"}',
    "model.safetensors": bytes(range(256)) * 2,
    "tokenizer/vocab.txt": b"[PAD]\n[UNK]\nhello\n",
}


@dataclass(frozen=True)
class SampleGate:
    """One gate: its settings, signing key, trust and policy, and what its chunks are digested with."""

    settings: Settings
    signer: KeySigner
    trust: Trust
    policy: Policy
    algorithm: str = BLAKE3

    @property
    def authority(self) -> Authority:
        """The signer's own judgement and key in this process, where a process a Release would be slow."""
        return Authority(KeySealer(self.signer), self.trust)

    def evidence(self, work: Path, model_id: str, files: dict[str, bytes], commit: str) -> Evidence:
        """Stage the files under ``work`` and make the evidence of an examination that found nothing."""
        staged = stage(work, files, self.algorithm)
        candidate = Candidate(kind=SourceKind.HUB, endpoint="https://hub.example", id=model_id)
        looked = tuple(
            CheckResult(name=name, version=1, status=Status.NO_FINDINGS)
            for name in self.policy.required_checks
        )
        return Evidence(
            gate_version="0.0.0",
            observed_at=an_hour_ago(),
            candidate=candidate,
            registered_name=registered_name(model_id),
            listing=Listing(candidate=candidate, resolved_id=model_id, commit=commit, files=()),
            staged=staged,
            results=looked,
        )

    def release(
        self,
        folder: Path,
        model_id: str = "acme/tiny",
        files: dict[str, bytes] | None = None,
        *,
        sequence: int = 1,
        issued_at: datetime | None = None,
        days: int = 365,
        commit: str = "a" * 40,
        listed: bool = True,
    ) -> Release:
        """Sign a Release of these files into ``folder / "release"``, and list it in the gate's index.

        Issued an hour ago if not said; not ``listed``: what whoever has only the signing key can make.
        """
        issued = issued_at or an_hour_ago()
        chosen = FILES if files is None else files
        evidence = self.evidence(folder / "staged", model_id, chosen, commit)
        release = sign_release(
            evidence,
            decide(evidence, self.policy, issued),
            self.policy,
            terms=Terms(sequence=sequence, issued_at=issued, expires_at=issued + timedelta(days=days)),
            signer=self.authority,
            trust=self.trust,
            destination=folder / "release",
        )
        if listed:
            self.index.change(lambda content: with_listed(content, entry_of(release)))
        return release

    @property
    def index(self) -> IndexRepository:
        """The gate's index, to write to."""
        return IndexRepository(self.settings, self.trust)


@dataclass(frozen=True)
class SampleStore:
    """A gate and its registry."""

    gate: SampleGate
    registry: Registry

    def admit(
        self, folder: Path, model_id: str, files: dict[str, bytes] | None = None, sequence: int = 1
    ) -> RegisteredVersion:
        """Sign, upload, register and point ``approved`` at it."""
        release = self.gate.release(folder, model_id, files, sequence=sequence)
        version = self.registry.create_version(release, self.registry.upload(release))
        self.registry.set_alias(version.name, "approved", version.version)
        return version

    def folder(self, version: RegisteredVersion) -> Path:
        """Where a local store keeps a version's files."""
        path = local_path(version.source_uri)
        if path is None:
            raise ValueError(f"{version.source_uri} is not on this machine")
        return path


def entry_of(release: Release) -> Listed:
    """What the index says of a Release."""
    return Listed(
        name=release.registered_name,
        sequence=release.terms.sequence,
        manifest_digest=release.manifest_digest,
        files_digest=release.files_digest,
        source=release.source,
        policy_digest=release.policy_digest,
        signed_by=release.signed_by,
        listed_at=release.terms.issued_at,
    )


def an_hour_ago() -> datetime:
    """Aware, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


def sample_gate(home: Path, policy: Policy | None = None) -> SampleGate:
    """Make keys and trust under ``home``; no administrator's trust applies."""
    chosen = policy or sample_policy()
    settings = settings_module.load(home, administrator_trust=home / "no-administrator.json")
    init_keys(settings, (chosen.digest(),))
    ensure_index(settings)
    return SampleGate(settings, load_signer(settings), load_trust(settings.trust), chosen)


def stage(folder: Path, files: dict[str, bytes], algorithm: str = BLAKE3) -> Staged:
    """Write files as a staging folder and describe them.

    ``algorithm`` digests the chunks of weights; sha256 is what Releases had before BLAKE3 was used.
    """
    staged = []
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        digest = sha256(data).hexdigest()
        named = algorithm if name.endswith(".safetensors") else SHA256
        staged.append(
            StagedFile(
                name=name,
                size=len(data),
                sha256=digest,
                chunk_size=CHUNK,
                algorithm=named,
                chunks=_chunks(data, named),
                source=name,
                source_sha256=digest,
            )
        )
    return Staged(root=folder, files=tuple(staged), tensors=_tensors(files, algorithm))


def _chunks(data: bytes, algorithm: str) -> tuple[str, ...]:
    digests = []
    for at in range(0, len(data), CHUNK):
        digest = ALGORITHMS[algorithm]()
        digest.update(data[at : at + CHUNK])
        digests.append(digest.hexdigest())
    return tuple(digests)


def _tensors(files: dict[str, bytes], algorithm: str) -> tuple[TensorMeasurement, ...]:
    digest = sha256(json.dumps(sorted(files)).encode()).hexdigest()
    old, new = (digest, None) if algorithm == SHA256 else (None, digest)
    return (
        TensorMeasurement(
            name="weight",
            file="model.safetensors",
            dtype="F32",
            shape=(2, 2),
            source_sha256=old,
            staged_sha256=old,
            source_blake3=new,
            staged_blake3=new,
            elements=4,
            nan=0,
            inf=0,
            zeros=1,
            minimum=0.0,
            maximum=1.5,
            mean=0.5,
            std=0.25,
        ),
    )


def sample_policy(name: str = "sample") -> Policy:
    """A small policy: two required checks, a year of validity."""
    return Policy(
        version=1,
        name=name,
        description="For tests of signing and verification.",
        endpoints=("https://hub.example",),
        allow_folder_source=True,
        reject=Bar(severity=Severity.HIGH, confidence=Confidence.MEDIUM),
        review=Bar(severity=Severity.MEDIUM, confidence=Confidence.LOW),
        required_checks=("repo-name", "file-formats"),
        tasks={},
        other_tasks=TaskRequirement(not_applicable_ok=True),
        formats=(FileFormat.SAFETENSORS,),
        weight_preference=(FileFormat.SAFETENSORS,),
        limits=Limits(
            max_files=100,
            max_file_bytes=10**9,
            max_total_bytes=10**9,
            max_config_bytes=10**6,
            reader_seconds=60,
            reader_memory_mb=512,
            behaviour_seconds=60,
            behaviour_memory_mb=512,
        ),
        provenance=_provenance(),
        thresholds={},
        sandboxes=("bubblewrap",),
        statement_days=365,
        protected=ProtectedNames(dated=date(2026, 1, 1), owners=(), reuploaders=(), names=()),
        pickle_allow_list=PickleAllowList(dated=date(2026, 1, 1), globals={}),
    )


def _provenance() -> Provenance:
    return Provenance(
        trusted_owners=(),
        min_age_days=0,
        require_verified_organisation=False,
        licences_allowed=(),
        licences_refused=(),
        require_licence=False,
        allow_gated=True,
        require_hub_scan=False,
    )
