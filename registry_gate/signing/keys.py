"""The local keys: made once, readable by their owner only, behind one small interface.

The signing key admits models; the log key signs the admission log and nothing else, so that writing a line
never needs the key that matters. Given a passphrase the signing key is encrypted (PKCS#8, AES-256-CBC under
PBKDF2-HMAC-SHA256 with the library's 2048 rounds, which is why short passphrases are refused).
"""

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
    load_trust,
    public_key,
    public_pem,
    save_trust,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_PRIVATE = "signing-key.pem"
_PUBLIC = "signing-key.pub.pem"
_LOG = "log-key.pem"
_MIN_PASSPHRASE = 16
_MAX_KEY_BYTES = 64 * 1024


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


def init_keys(settings: Settings, policies: tuple[str, ...], passphrase: bytes | None = None) -> KeyPair:
    """Make the keys and the trust file that pins them; nothing is ever overwritten.

    Killed anywhere, the next call finishes: it makes the log key and writes the trust file for what is there.

    Args:
        settings: where keys and trust file go.
        policies: digests of the policies whose verdicts are accepted at first.
        passphrase: encrypts the signing key at rest; None leaves it to file permissions.

    Raises:
        UsageError: ``keys-exist``, ``trust-exists``, ``weak-passphrase``.
    """
    private, log = settings.keys / _PRIVATE, settings.keys / _LOG
    if private.exists() and log.exists() and settings.trust.exists():
        raise UsageError(
            "keys-exist",
            f"there is a signing key in {settings.keys} already",
            why="a new key would make everything signed so far untrusted",
            todo="use it, or choose another home with --home",
        )
    if settings.trust.exists() and not private.exists():
        raise UsageError(
            "trust-exists",
            f"there is a trust file at {settings.trust} already, of another gate's key",
            why="adding a key to it would widen what is trusted without anybody deciding so",
            todo="move it away first, or choose another home with --home",
        )
    if not private.exists():
        _make_keys(settings.keys, _checked(passphrase))
    elif not log.exists():
        _write_new(log, _pem(_new_key(), None), 0o600)
    key, log_key = public_half(settings), load_log_signer(settings).key
    trust = load_trust(settings.trust) if settings.trust.exists() else None
    if trust is None:
        verifier = f"urn:registry-gate:gate:{key.key_id[:32]}"
        trust = Trust(verifier=verifier, keys=(key,), policies=policies)
    log_keys = tuple(dict.fromkeys((*trust.log_keys, log_key)))
    save_trust(settings.trust, trust.model_copy(update={"log_keys": log_keys}))
    return key_pair(settings, trust.verifier)


def key_pair(settings: Settings, verifier: str) -> KeyPair:
    """Describe the key pair of these settings; raises what ``public_half`` raises."""
    return KeyPair(
        key_id=public_half(settings).key_id,
        verifier=verifier,
        private_key=settings.keys / _PRIVATE,
        public_key=settings.keys / _PUBLIC,
        trust=settings.trust,
    )


def private_key_path(settings: Settings) -> Path:
    """Where the signing key lies, or would."""
    return settings.keys / _PRIVATE


def is_encrypted(settings: Settings) -> bool:
    """Whether the signing key asks for a passphrase; False where there is none."""
    try:
        return b"ENCRYPTED PRIVATE KEY" in (settings.keys / _PRIVATE).read_bytes()
    except OSError:
        return False


def public_half(settings: Settings) -> TrustedKey:
    """The signing key's public half, from the file beside it: the private one stays where it is.

    Raises:
        UsageError: ``no-signing-key``, ``bad-signing-key``, or ``key-readable-by-others``.
    """
    path = settings.keys / _PRIVATE
    try:
        _check_private(path, path.lstat())
        pem = (settings.keys / _PUBLIC).read_text(encoding="utf-8")
        return TrustedKey(key_id=key_id(public_key(pem)), public_key=pem)
    except FileNotFoundError as error:
        raise _no_key(settings) from error
    except (OSError, ValueError) as error:
        raise _bad_key(settings.keys / _PUBLIC, error) from error


def load_signer(settings: Settings, passphrase: bytes | None = None) -> KeySigner:
    """Read the signing key; only the signer's own process and tests do.

    Raises:
        UsageError: ``no-signing-key``, ``bad-signing-key``, ``key-readable-by-others``, ``passphrase-needed``
            or ``wrong-passphrase``.
    """
    try:
        key = read_private_key(settings.keys / _PRIVATE, passphrase)
        public_key(public_pem(key.public_key()))
    except FileNotFoundError as error:
        raise _no_key(settings) from error
    except ValueError as error:
        raise _bad_key(settings.keys / _PRIVATE, error) from error
    return KeySigner(key)


def load_log_signer(settings: Settings) -> KeySigner:
    """Read the log's key.

    Raises:
        UsageError: ``no-log-key``, ``bad-signing-key`` or ``key-readable-by-others``.
    """
    try:
        return KeySigner(read_private_key(settings.keys / _LOG, None))
    except FileNotFoundError as error:
        raise UsageError(
            "no-log-key",
            f"there is no key for the admission log in {settings.keys}",
            todo="run `registry-gate keys init` once more: it makes what is missing",
        ) from error


def read_private_key(path: Path, passphrase: bytes | None) -> EllipticCurvePrivateKey:
    """Read an ECDSA private key in PEM that nobody else can read.

    Raises:
        FileNotFoundError: there is none.
        UsageError: ``bad-signing-key``, ``key-readable-by-others``, ``passphrase-needed`` or
            ``wrong-passphrase``.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            _check_private(path, os.fstat(file.fileno()))
            pem = file.read(_MAX_KEY_BYTES)
        encrypted = b"ENCRYPTED" in pem
        if encrypted and passphrase is None:
            raise UsageError(
                "passphrase-needed",
                f"{path} is encrypted",
                todo="give the passphrase in a file (REGISTRY_GATE_PASSPHRASE_FILE), on a descriptor "
                "(REGISTRY_GATE_PASSPHRASE_FD) or at a terminal",
            )
        key = serialization.load_pem_private_key(pem, passphrase if encrypted else None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("not an elliptic curve key")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError) as error:
        if passphrase is not None and "password" in str(error).lower():
            raise UsageError("wrong-passphrase", f"the passphrase does not open {path}") from error
        raise _bad_key(path, error) from error
    return key


def _no_key(settings: Settings) -> UsageError:
    return UsageError(
        "no-signing-key",
        f"there is no signing key in {settings.keys}",
        todo="run `registry-gate keys init` once",
    )


def _bad_key(path: Path, error: Exception) -> UsageError:
    return UsageError("bad-signing-key", f"{path} cannot be used: {str(error)[:200]}")


def _check_private(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise UsageError(
            "key-readable-by-others",
            f"{path} is open to other users (mode {status.st_mode & 0o777:04o}, owner {status.st_uid})",
            why="whoever can read the key can admit any model",
            todo=f"chmod 600 {path}, and consider the key known if others use this machine",
        )


def _checked(passphrase: bytes | None) -> bytes | None:
    if passphrase is not None and len(passphrase) < _MIN_PASSPHRASE:
        raise UsageError(
            "weak-passphrase",
            f"the passphrase has {len(passphrase)} bytes, fewer than {_MIN_PASSPHRASE}",
            why="whoever copies the file can try passphrases as fast as their machines go",
            todo="take one from a password manager: 16 random characters, or six random words",
        )
    return passphrase


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: EllipticCurvePrivateKey, passphrase: bytes | None) -> bytes:
    from cryptography.hazmat.primitives import serialization as form

    encryption = form.BestAvailableEncryption(passphrase) if passphrase else form.NoEncryption()
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, encryption)


def _make_keys(folder: Path, passphrase: bytes | None) -> None:
    """Write all of them into a new folder, then give it its name: there are whole keys or none."""
    key = _new_key()
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".keys-"))
    _write_new(scratch / _PRIVATE, _pem(key, passphrase), 0o600)
    _write_new(scratch / _PUBLIC, public_pem(key.public_key()).encode(), 0o644)
    _write_new(scratch / _LOG, _pem(_new_key(), None), 0o600)
    try:
        scratch.rename(folder)
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise UsageError(
            "keys-exist",
            f"{folder} is there already but holds no signing key: {error.strerror}",
            todo="move it away, or choose another home with --home",
        ) from error


def _write_new(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
