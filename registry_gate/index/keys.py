"""The private keys of the index, one file a role, in a folder that is not the signing key's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from securesystemslib.signer import CryptoSigner

from registry_gate.errors import UsageError
from registry_gate.settings import Settings
from registry_gate.signing.key_files import make_key_file, read_key
from registry_gate.signing.keys import checked_passphrase
from registry_gate.signing.passphrase import passphrase_from
from registry_gate.signing.private_keys import is_encrypted

ROOT, INDEX, TIMESTAMP = "root", "index", "timestamp"
"""``root`` belongs off line; ``index`` signs targets and snapshot, ``timestamp`` their being the newest."""

_PURPOSE = "key of the index"


def key_path(folder: Path, role: str) -> Path:
    """Where the key of a role lies."""
    return folder / f"{role}.pem"


def load_key(path: Path, passphrase: bytes | None = None) -> CryptoSigner:
    """Read a private key of the index; raises what ``read_key`` raises."""
    return CryptoSigner(read_key(path, _PURPOSE, passphrase))


def make_key(path: Path, passphrase: bytes | None = None) -> CryptoSigner:
    """Make a private key of the index, encrypted with the passphrase, or read the one that is there."""
    return CryptoSigner(make_key_file(path, _PURPOSE, checked_passphrase(passphrase)))


def next_key(path: Path, passphrase: bytes | None = None) -> CryptoSigner:
    """Make the key that will replace one, beside it, until a root that names it is signed."""
    return make_key(_next(path), passphrase)


def passphrase_for(settings: Settings, paths: Iterable[Path]) -> bytes | None:
    """The passphrase of the index's keys, asked for at a terminal only if one of these is encrypted.

    Raises:
        UsageError: ``no-passphrase``.
    """
    asks = any(is_encrypted(path) or is_encrypted(_next(path)) for path in paths)
    given = passphrase_from(
        settings.index_passphrase, ask="passphrase of the index's keys: " if asks else None
    )
    return None if given is None else given.encode()


def key_named(path: Path, key_id: str, passphrase: bytes | None = None) -> CryptoSigner:
    """The key that the root names: the one in its place, or the next one, which takes its place then.

    Raises:
        UsageError: ``no-private-key``, ``index-key-replaced`` where the root names neither.
    """
    following = _next(path)
    if following.exists() and load_key(following, passphrase).public_key.keyid == key_id:
        if path.exists():
            count = sum(1 for _ in path.parent.glob(f"{path.name}.replaced-*"))
            path.rename(path.with_name(f"{path.name}.replaced-{count + 1}"))
        following.rename(path)
    found = load_key(path, passphrase)
    if found.public_key.keyid != key_id:
        raise UsageError(
            "index-key-replaced",
            f"{path} is not the key that the index's root names",
            why="nobody would believe what it signed",
            todo="bring the newest key, or sign a root for this one with `registry-gate index rotate-root`",
        )
    return found


def _next(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")
