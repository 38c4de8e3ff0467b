"""Private keys beside the gate's signing key: the index's, the approvers', and a signing key to come."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from registry_gate.errors import UsageError
from registry_gate.signing.private_keys import new_key, private_pem, read_private_key, write_new
from registry_gate.signing.trust import public_key, public_pem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


def read_key(path: Path, purpose: str, passphrase: bytes | None = None) -> EllipticCurvePrivateKey:
    """Read an ECDSA P-256 key that only its owner can read; ``purpose`` is for the message.

    Raises:
        UsageError: ``no-private-key``, ``bad-private-key``, or what ``read_private_key`` raises.
    """
    try:
        key = read_private_key(path, passphrase)
        public_key(public_pem(key.public_key()))
    except FileNotFoundError as error:
        raise UsageError(
            "no-private-key",
            f"there is no {purpose} at {path}",
            todo="run this where the key is, or bring the key for the time of this command",
        ) from error
    except ValueError as error:
        raise UsageError("bad-private-key", f"{path} cannot be used: {str(error)[:200]}") from error
    return key


def make_key_file(path: Path, purpose: str, passphrase: bytes | None = None) -> EllipticCurvePrivateKey:
    """Make a key (mode 0600), whole or not at all; one that is there is used, never replaced."""
    if path.exists():
        return read_key(path, purpose, passphrase)
    key = new_key()
    path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    write_new(partial, private_pem(key, passphrase), 0o600)
    partial.rename(path)
    return key
