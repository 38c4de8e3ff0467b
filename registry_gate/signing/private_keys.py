"""Private keys as files: read with care, written whole; what they are for is decided elsewhere."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from registry_gate.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_MAX_KEY_BYTES = 64 * 1024
_HEADER_BYTES = 54  # "BEGIN EC PRIVATE KEY", then "Proc-Type: 4,ENCRYPTED"; in PKCS#8 names of algorithms


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
            check_private(path, os.fstat(file.fileno()))
            pem = file.read(_MAX_KEY_BYTES)
        encrypted = b"ENCRYPTED" in pem
        if encrypted and passphrase is None:
            raise UsageError(
                "passphrase-needed",
                f"{path} is encrypted",
                todo="give the passphrase at a terminal or in a file: REGISTRY_GATE_PASSPHRASE_FILE for the "
                "signing key (or on a descriptor, REGISTRY_GATE_PASSPHRASE_FD), "
                "REGISTRY_GATE_INDEX_PASSPHRASE_FILE for the index's, --passphrase-file for an approver's",
            )
        key = serialization.load_pem_private_key(pem, passphrase if encrypted else None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("not an elliptic curve key")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError) as error:
        if passphrase is not None and "password" in str(error).lower():
            raise UsageError("wrong-passphrase", f"the passphrase does not open {path}") from error
        raise bad_key(path, error) from error
    return key


def is_encrypted(path: Path) -> bool:
    """Whether a key file asks for a passphrase; False where there is none to read.

    Only the header is read, so that whoever asks does not hold the key afterwards.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return b"ENCRYPTED" in file.read(_HEADER_BYTES)
    except OSError:
        return False


def bad_key(path: Path, error: Exception) -> UsageError:
    """The error for a key file that is there and is none."""
    return UsageError("bad-signing-key", f"{path} cannot be used: {str(error)[:200]}")


def check_private(path: Path, status: os.stat_result) -> None:
    """Raises UsageError ``key-readable-by-others``."""
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise UsageError(
            "key-readable-by-others",
            f"{path} is open to other users (mode {status.st_mode & 0o777:04o}, owner {status.st_uid})",
            why="whoever can read the key can admit any model",
            todo=f"chmod 600 {path}, and consider the key known if others use this machine",
        )


def new_key() -> EllipticCurvePrivateKey:
    """A fresh ECDSA P-256 key."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    """PKCS#8 in PEM, encrypted where there is a passphrase."""
    from cryptography.hazmat.primitives import serialization as form

    encryption = form.BestAvailableEncryption(passphrase) if passphrase else form.NoEncryption()
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, encryption)


def write_folder(folder: Path, files: dict[str, tuple[bytes, int]]) -> None:
    """Write files, each with its mode, into a new folder, then give it its name: all are there or none.

    Raises:
        UsageError: ``keys-exist``.
    """
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".keys-"))
    for name, (data, mode) in files.items():
        write_new(scratch / name, data, mode)
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
    """Write a file that must not be there yet, down to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
