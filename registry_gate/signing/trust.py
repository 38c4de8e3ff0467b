"""Who is believed: pinned keys, the verifier's id and policy digests, from files that may only narrow."""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError

from registry_gate.candidate import Sha256
from registry_gate.errors import UsageError
from registry_gate.record import Record
from registry_gate.release import Digest
from registry_gate.settings import Settings
from registry_gate.signing.identities import TrustedCertificate, TrustedIdentity

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

_MAX_TRUST_BYTES = 1024 * 1024


class TrustedKey(Record):
    """One pinned ECDSA P-256 key. ``key_id`` is the sha256 of its SubjectPublicKeyInfo in DER."""

    key_id: Sha256
    public_key: str

    @property
    def hint(self) -> str:
        """How a bundle names the key: sha256 of the PEM, as model-signing writes it."""
        return sha256(self.public_key.encode()).hexdigest()


class IndexTrust(Record):
    """Where trust in the index begins: one root metadata file by digest, and the oldest index accepted.

    ``address`` is where to read it unless the settings say; what lies there proves itself.
    ``minimum_version`` protects a machine without memory (a fresh pod) from an older index: raise it when a
    revocation must not be missed.
    """

    root: Digest
    root_version: int = Field(default=1, ge=1)
    minimum_version: int = Field(default=1, ge=1)
    address: str | None = Field(default=None, max_length=1000)

    def place(self, settings: Settings) -> str:
        """The folder or http(s) address to read the index from."""
        return settings.index or self.address or settings.default_index


class Approver(Record):
    """A person who may approve what needs review, by name and key."""

    name: str = Field(min_length=1, max_length=100)
    key: TrustedKey


class RetiredKey(Record):
    """A key that signs no more: log entries up to ``last_sequence`` stay believed, later ones do not."""

    key: TrustedKey
    last_sequence: int = Field(ge=0)
    reason: str = Field(default="", max_length=500)


class Trust(Record):
    """What a verifier accepts: signatures by ``keys``, verdicts by ``verifier`` under ``policies``.

    Signatures by ``identities`` are checked against ``sigstore_root`` (``public``, or a trusted root's JSON),
    those by ``certificates`` against the roots each names. ``log_keys`` sign the admission log and nothing
    else. Nothing loads without the ``index``; ``retired_keys`` serve for reading the log only.
    """

    version: Literal[1] = 1
    verifier: str = Field(min_length=1, max_length=300)
    keys: tuple[TrustedKey, ...]
    policies: tuple[Digest, ...]
    identities: tuple[TrustedIdentity, ...] = ()
    sigstore_root: str | None = Field(default=None, max_length=500_000)
    certificates: tuple[TrustedCertificate, ...] = ()
    log_keys: tuple[TrustedKey, ...] = ()
    index: IndexTrust | None = None
    approvers: tuple[Approver, ...] = ()
    retired_keys: tuple[RetiredKey, ...] = ()

    def with_retired(self) -> Trust:
        """The same trust for reading history: retired keys count too, within limits the reader holds."""
        retired = tuple(entry.key for entry in self.retired_keys)
        return self.model_copy(update={"keys": self.keys + retired, "retired_keys": ()})

    def key_for(self, hint: str) -> TrustedKey | None:
        """The pinned key a bundle's hint names, or None."""
        return next((key for key in self.keys if key.hint == hint), None)

    def for_log(self) -> Trust:
        """The same trust for reading the admission log: the log's own keys count, and no other method."""
        keys = tuple(dict.fromkeys((*self.keys, *self.log_keys)))
        return self.model_copy(update={"keys": keys})


@lru_cache(maxsize=64)
def public_key(pem: str) -> EllipticCurvePublicKey:
    """Parse a PEM that must be exactly the canonical encoding of an ECDSA P-256 key.

    Raises:
        ValueError: anything else.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_public_key(pem.encode())
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("not an ECDSA P-256 public key")
    if public_pem(key) != pem:
        raise ValueError("not the canonical PEM encoding")
    return key


def public_pem(key: EllipticCurvePublicKey) -> str:
    """SubjectPublicKeyInfo in PEM."""
    from cryptography.hazmat.primitives import serialization

    encoded = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


def key_id(key: EllipticCurvePublicKey) -> str:
    """Hex sha256 of SubjectPublicKeyInfo in DER."""
    from cryptography.hazmat.primitives import serialization

    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return sha256(encoded).hexdigest()


def load_trust(path: Path) -> Trust:
    """Read one trust file.

    Raises:
        UsageError: ``no-trust`` when it is missing, ``bad-trust`` when it is not one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_TRUST_BYTES + 1)
        if len(data) > _MAX_TRUST_BYTES:
            raise ValueError(f"it is larger than {_MAX_TRUST_BYTES} bytes")
        trust = Trust.from_json(data)
        approvers = (approver.key for approver in trust.approvers)
        retired = (entry.key for entry in trust.retired_keys)
        for key in (*trust.keys, *trust.log_keys, *approvers, *retired):
            if key_id(public_key(key.public_key)) != key.key_id:
                raise ValueError(f"key id {key.key_id} is not that of its key")
    except FileNotFoundError as error:
        raise UsageError(
            "no-trust",
            f"there is no trust file at {path}",
            why="without pinned keys every signature is a stranger's",
            todo="run `registry-gate keys init`, or give the trust file of the gate that admits your models",
        ) from error
    except (OSError, ValidationError, ValueError) as error:
        detail = str(error).splitlines()[0]
        raise UsageError("bad-trust", f"trust file {path} cannot be used: {detail[:200]}") from error
    return trust


def effective_trust(settings: Settings, explicit: Trust | Path | str | None = None) -> Trust:
    """The trust in force: the argument's or the user's, cut down to the administrator's where there is one.

    Without an administrator's file the user is their own administrator.
    """
    if not _administered(settings):
        return _chosen(settings, explicit)
    ceiling = load_trust(settings.administrator_trust)
    if explicit is None and not settings.trust.exists():
        return ceiling
    return narrowed(ceiling, _chosen(settings, explicit))


def _administered(settings: Settings) -> bool:
    """Whether there is an administrator's file; one that cannot be looked at counts as one."""
    try:
        settings.administrator_trust.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def narrowed(ceiling: Trust, wanted: Trust) -> Trust:
    """What both accept.

    Raises:
        UsageError: ``trust-conflict`` when they name different verifiers.
    """
    if ceiling.verifier != wanted.verifier:
        raise UsageError(
            "trust-conflict",
            f"the trust given names verifier {wanted.verifier!r}, the administrator's {ceiling.verifier!r}",
            why="a user's trust can only narrow the administrator's",
            todo="leave the argument out, or ask the administrator",
        )
    same_root = ceiling.sigstore_root == wanted.sigstore_root
    return Trust(
        verifier=ceiling.verifier,
        keys=tuple(key for key in ceiling.keys if key in wanted.keys),
        policies=tuple(digest for digest in ceiling.policies if digest in wanted.policies),
        # An identity means something under its root only: with another root nothing is common.
        identities=tuple(who for who in ceiling.identities if who in wanted.identities and same_root),
        sigstore_root=ceiling.sigstore_root if same_root else None,
        certificates=tuple(who for who in ceiling.certificates if who in wanted.certificates),
        log_keys=tuple(key for key in ceiling.log_keys if key in wanted.log_keys),
        index=_narrowed_index(ceiling.index, wanted.index),
        approvers=tuple(approver for approver in ceiling.approvers if approver in wanted.approvers),
        retired_keys=_narrowed_retired(ceiling, wanted),
    )


def _narrowed_index(ceiling: IndexTrust | None, wanted: IndexTrust | None) -> IndexTrust | None:
    """The administrator's root; the caller may only ask for a newer index."""
    if ceiling is None or wanted is None:
        return ceiling
    if (ceiling.root, ceiling.root_version) != (wanted.root, wanted.root_version):
        raise UsageError(
            "trust-conflict",
            "the trust given begins at another index root than the administrator's",
            why="a user's trust can only narrow the administrator's",
            todo="leave the argument out, or ask the administrator",
        )
    newest = max(ceiling.minimum_version, wanted.minimum_version)
    return ceiling.model_copy(update={"minimum_version": newest})


def _narrowed_retired(ceiling: Trust, wanted: Trust) -> tuple[RetiredKey, ...]:
    """The administrator's retired keys, and those of the administrator's keys that the caller retired."""
    own = tuple(entry for entry in wanted.retired_keys if entry.key in ceiling.for_log().keys)
    return ceiling.retired_keys + own


def save_trust(path: Path, trust: Trust) -> None:
    """Replace a trust file in one step; a kill leaves the old one or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".trust-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(trust.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def trust_policy(settings: Settings, digest: str) -> Trust:
    """Accept one more policy digest in the user's trust file; returns the new trust.

    Raises:
        UsageError: ``bad-policy-digest``.
    """
    trust = load_trust(settings.trust)
    try:
        return _save_widened(settings, trust, policies=tuple(dict.fromkeys((*trust.policies, digest))))
    except ValidationError as error:
        raise UsageError("bad-policy-digest", f"{digest[:200]!r} is not sha256:<hex>") from error


def trust_identity(settings: Settings, identity: str, issuer: str, root: str) -> Trust:
    """Accept one keyless signer in the user's trust file; returns the new trust.

    Raises:
        UsageError: ``bad-identity``; ``other-sigstore-root`` where the file's identities have another root.
    """
    trust = load_trust(settings.trust)
    if trust.identities and trust.sigstore_root != root:
        raise UsageError(
            "other-sigstore-root",
            "the identities in the trust file belong to another Sigstore instance",
            why="the same identity under another root is somebody else",
            todo="use a trust file of its own for the other instance",
        )
    try:
        added = TrustedIdentity(identity=identity, issuer=issuer)
        who = tuple(dict.fromkeys((*trust.identities, added)))
        return _save_widened(settings, trust, identities=who, sigstore_root=root)
    except ValidationError as error:
        raise _bad_signer("bad-identity", error) from error


def trust_certificate(settings: Settings, name: str, roots: str, timestamp_roots: str = "") -> Trust:
    """Accept one name under a company's roots in the user's trust file; returns the new trust.

    Raises:
        UsageError: ``bad-certificate-name``.
    """
    trust = load_trust(settings.trust)
    try:
        added = TrustedCertificate(name=name, roots=roots, timestamp_roots=timestamp_roots)
        return _save_widened(settings, trust, certificates=tuple(dict.fromkeys((*trust.certificates, added))))
    except ValidationError as error:
        raise _bad_signer("bad-certificate-name", error) from error


def _save_widened(settings: Settings, trust: Trust, **update: object) -> Trust:
    widened = Trust.from_json(trust.model_copy(update=update).canonical())
    save_trust(settings.trust, widened)
    return widened


def _bad_signer(code: str, error: ValidationError) -> UsageError:
    first = error.errors()[0]
    return UsageError(code, f"{first['loc'][-1]}: {first['msg'][:200]}", todo="see docs/signing.md")


def _chosen(settings: Settings, explicit: Trust | Path | str | None) -> Trust:
    if isinstance(explicit, Trust):
        return explicit
    return load_trust(settings.trust if explicit is None else Path(explicit))
