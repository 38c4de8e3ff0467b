"""The local signing key: made once, readable by its owner only, behind one small interface."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from registry_gate.candidate import Sha256
from registry_gate.errors import UsageError
from registry_gate.record import Record
from registry_gate.settings import Settings
from registry_gate.signing.trust import (
    Trust,
    TrustedKey,
    key_id,
    public_key,
    public_pem,
    save_trust,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_PRIVATE = "signing-key.pem"
_PUBLIC = "signing-key.pub.pem"


class Signer(Protocol):
    """Whatever can sign a message so that the holder of ``key.public_key`` can check it."""

    @property
    def key(self) -> TrustedKey:
        """The public half."""

    def sign(self, message: bytes) -> bytes:
        """ECDSA P-256 over the sha256 of the message, in DER."""


class KeyPair(Record):
    """Where a key pair lies and how trust files name it."""

    key_id: Sha256
    verifier: str
    private_key: Path
    public_key: Path
    trust: Path


class KeySigner:
    """Signs with a private key held in memory."""

    def __init__(self, private_key: EllipticCurvePrivateKey) -> None:
        public = private_key.public_key()
        self._private_key = private_key
        self._key = TrustedKey(key_id=key_id(public), public_key=public_pem(public))

    @property
    def key(self) -> TrustedKey:
        """The public half."""
        return self._key

    def sign(self, message: bytes) -> bytes:
        """ECDSA P-256 over the sha256 of the message, in DER."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        return self._private_key.sign(message, ec.ECDSA(hashes.SHA256()))


def init_keys(settings: Settings, policies: tuple[str, ...]) -> KeyPair:
    """Make a signing key and the trust file that pins it; nothing is ever overwritten.

    Killed between the two, the next call finishes: it writes the trust file for the key that is there.

    Args:
        settings: where keys and trust file go.
        policies: digests of the policies whose verdicts are accepted at first.

    Raises:
        UsageError: ``keys-exist``, ``trust-exists``.
    """
    private = settings.keys / _PRIVATE
    if private.exists() and settings.trust.exists():
        raise UsageError(
            "keys-exist",
            f"there is a signing key in {settings.keys} already",
            why="a new key would make everything signed so far untrusted",
            todo="use it, or choose another home with --home",
        )
    if settings.trust.exists():
        raise UsageError(
            "trust-exists",
            f"there is a trust file at {settings.trust} already, of another gate's key",
            why="adding a key to it would widen what is trusted without anybody deciding so",
            todo="move it away first, or choose another home with --home",
        )
    if not private.exists():
        _make_key(settings.keys)
    key = load_signer(settings).key
    verifier = f"urn:registry-gate:gate:{key.key_id[:32]}"
    save_trust(settings.trust, Trust(verifier=verifier, keys=(key,), policies=policies))
    return key_pair(settings, verifier)


def key_pair(settings: Settings, verifier: str) -> KeyPair:
    """Describe the key pair of these settings; raises what ``load_signer`` raises."""
    return KeyPair(
        key_id=load_signer(settings).key.key_id,
        verifier=verifier,
        private_key=settings.keys / _PRIVATE,
        public_key=settings.keys / _PUBLIC,
        trust=settings.trust,
    )


def load_signer(settings: Settings) -> KeySigner:
    """Read the signing key.

    Raises:
        UsageError: ``no-signing-key``, ``bad-signing-key``, or ``key-readable-by-others``.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    path = settings.keys / _PRIVATE
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            check_private(path, os.fstat(file.fileno()))
            key = serialization.load_pem_private_key(file.read(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("not an elliptic curve key")
        public_key(public_pem(key.public_key()))
    except FileNotFoundError as error:
        raise UsageError(
            "no-signing-key",
            f"there is no signing key in {settings.keys}",
            todo="run `registry-gate keys init` once",
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise UsageError("bad-signing-key", f"{path} cannot be used: {str(error)[:200]}") from error
    return KeySigner(key)


def check_private(path: Path, status: os.stat_result) -> None:
    """Refuse a private key that others can read: ``key-readable-by-others``."""
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise UsageError(
            "key-readable-by-others",
            f"{path} is open to other users (mode {status.st_mode & 0o777:04o}, owner {status.st_uid})",
            why="whoever can read the key can admit any model",
            todo=f"chmod 600 {path}, and consider the key known if others use this machine",
        )


def _make_key(folder: Path) -> None:
    """Write both halves into a new folder, then give it its name: there is a whole key or none."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".keys-"))
    write_new(scratch / _PRIVATE, private, 0o600)
    write_new(scratch / _PUBLIC, public_pem(key.public_key()).encode(), 0o644)
    try:
        scratch.rename(folder)
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise UsageError(
            "keys-exist",
            f"{folder} is there already but holds no signing key: {error.strerror}",
            todo="move it away, or choose another home with --home",
        ) from error


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that must not exist yet, whole and on the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
