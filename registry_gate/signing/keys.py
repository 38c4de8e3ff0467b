"""The local keys: made once, readable by their owner only, behind one small interface.

The signing key admits models; the log key signs the admission log and nothing else, so that writing a line
never needs the key that matters. Given a passphrase the signing key is encrypted (PKCS#8, AES-256-CBC under
PBKDF2-HMAC-SHA256 with the library's 2048 rounds, which is why short passphrases are refused).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from registry_gate.candidate import Sha256
from registry_gate.errors import UsageError
from registry_gate.record import Record
from registry_gate.settings import Settings
from registry_gate.signing.private_keys import (
    bad_key,
    check_private,
    new_key,
    private_pem,
    read_private_key,
    write_folder,
    write_new,
)
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
        made = new_key()
        pair = {
            _PRIVATE: (private_pem(made, checked_passphrase(passphrase)), 0o600),
            _PUBLIC: (public_pem(made.public_key()).encode(), 0o644),
        }
        write_folder(settings.keys, pair | _log_key())
    elif not log.exists():
        write_new(log, *_log_key()[_LOG])
    key, log_key = public_half(settings), load_log_signer(settings).key
    trust = load_trust(settings.trust) if settings.trust.exists() else None
    if trust is None:
        verifier = f"urn:registry-gate:gate:{key.key_id[:32]}"
        trust = Trust(verifier=verifier, keys=(key,), policies=policies)
    log_keys = tuple(dict.fromkeys((*trust.log_keys, log_key)))
    save_trust(settings.trust, trust.model_copy(update={"log_keys": log_keys}))
    return key_pair(settings, trust.verifier)


def init_keyless(settings: Settings, policies: tuple[str, ...]) -> Trust:
    """Make a gate that has no key to admit with: only the log's, and a trust file that accepts nobody yet.

    Raises:
        UsageError: ``keys-exist``, ``trust-exists``.
    """
    if settings.trust.exists():
        raise UsageError(
            "trust-exists",
            f"there is a trust file at {settings.trust} already",
            todo="add the identity to it with `registry-gate keys trust-identity`, or move it away first",
        )
    write_folder(settings.keys, _log_key())
    key = load_log_signer(settings).key
    verifier = f"urn:registry-gate:gate:{key.key_id[:32]}"
    trust = Trust(verifier=verifier, keys=(), policies=policies, log_keys=(key,))
    save_trust(settings.trust, trust)
    return trust


def _log_key() -> dict[str, tuple[bytes, int]]:
    return {_LOG: (private_pem(new_key()), 0o600)}


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


def public_key_path(settings: Settings) -> Path:
    """Where the signing key's public half lies, or would."""
    return settings.keys / _PUBLIC


def log_key_path(settings: Settings) -> Path:
    """Where the log's key lies, or would."""
    return settings.keys / _LOG


def public_half(settings: Settings) -> TrustedKey:
    """The signing key's public half, from the file beside it: the private one stays where it is.

    Raises:
        UsageError: ``no-signing-key``, ``bad-signing-key``, or ``key-readable-by-others``.
    """
    path = settings.keys / _PRIVATE
    try:
        check_private(path, path.lstat())
        pem = (settings.keys / _PUBLIC).read_text(encoding="utf-8")
        return TrustedKey(key_id=key_id(public_key(pem)), public_key=pem)
    except FileNotFoundError as error:
        raise _no_key(settings) from error
    except (OSError, ValueError) as error:
        raise bad_key(settings.keys / _PUBLIC, error) from error


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
        raise bad_key(settings.keys / _PRIVATE, error) from error
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


def _no_key(settings: Settings) -> UsageError:
    return UsageError(
        "no-signing-key",
        f"there is no signing key in {settings.keys}",
        todo="run `registry-gate keys init` once",
    )


def checked_passphrase(passphrase: bytes | None) -> bytes | None:
    """The passphrase, if it is none or long enough; raises UsageError ``weak-passphrase``."""
    if passphrase is not None and len(passphrase) < _MIN_PASSPHRASE:
        raise UsageError(
            "weak-passphrase",
            f"the passphrase has {len(passphrase)} bytes, fewer than {_MIN_PASSPHRASE}",
            why="whoever copies the file can try passphrases as fast as their machines go",
            todo="take one from a password manager: 16 random characters, or six random words",
        )
    return passphrase
