"""Private keys on disk, beside the gate's own signing key: the index's and the approvers'."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from registry_gate.errors import UsageError
from registry_gate.signing.keys import check_private, write_new


def read_key(path: Path, purpose: str) -> ec.EllipticCurvePrivateKey:
    """Read an ECDSA P-256 key that only its owner can read; ``purpose`` is for the message.

    Raises:
        UsageError: ``no-private-key``, ``bad-private-key``, ``key-readable-by-others``.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            check_private(path, os.fstat(file.fileno()))
            key = serialization.load_pem_private_key(file.read(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("not an ECDSA P-256 key")
    except FileNotFoundError as error:
        raise UsageError(
            "no-private-key",
            f"there is no {purpose} at {path}",
            todo="run this where the key is, or bring the key for the time of this command",
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise UsageError("bad-private-key", f"{path} cannot be used: {str(error)[:200]}") from error
    return key


def make_key_file(path: Path, purpose: str) -> ec.EllipticCurvePrivateKey:
    """Make a key (mode 0600), whole or not at all; one that is there is used, never replaced."""
    if path.exists():
        return read_key(path, purpose)
    key = ec.generate_private_key(ec.SECP256R1())
    data = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    write_new(partial, data, 0o600)
    partial.rename(path)
    return key
