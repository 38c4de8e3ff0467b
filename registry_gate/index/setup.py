"""The first index of a gate, and the ceremonies of its root."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

from securesystemslib.signer import Key, Signer

from registry_gate.errors import UsageError
from registry_gate.index.content import IndexContent
from registry_gate.index.keys import (
    INDEX,
    ROOT,
    TIMESTAMP,
    key_named,
    key_path,
    make_key,
    next_key,
    passphrase_for,
)
from registry_gate.index.metadata import files_of, key_ids, make_root, read_state, signed_bytes
from registry_gate.index.publish import publish
from registry_gate.index.repository import IndexRepository, alone, write_files
from registry_gate.settings import Settings
from registry_gate.signing.refusal import refusal
from registry_gate.signing.trust import IndexTrust, Trust, load_trust, save_trust

DEFAULT_HOURS = 14 * 24
"""A timestamp's life where nobody says otherwise: a single user runs the gate at least every other week."""

_ROLES = (ROOT, INDEX, TIMESTAMP)


def init_root(
    settings: Settings,
    *,
    hours: int = DEFAULT_HOURS,
    root_key: Path | None = None,
    now: datetime | None = None,
    passphrase: bytes | None = None,
) -> Trust:
    """Make the keys, the first root and an empty index, and name the root in the user's trust file.

    Killed on the way, the next call finishes with the keys that are there.

    Args:
        settings: where keys, index and trust file go.
        hours: how long a timestamp is believed.
        root_key: where the root's key goes, or lies; with the other keys if None.
        now: aware time; the clock's if None.
        passphrase: encrypts all three keys; that of the settings' ``index_passphrase``, if there, if None.

    Raises:
        UsageError: ``index-exists`` where the trust file names a root already, ``weak-passphrase``.
    """
    time = now or datetime.now(UTC)
    places = _places(settings, root_key)
    secret = passphrase if passphrase is not None else passphrase_for(settings, places.values())
    with alone(settings):
        trust = load_trust(settings.trust)
        if trust.index is not None:
            raise UsageError(
                "index-exists",
                f"{settings.trust} names an index root already",
                why="a second one would forget what the first revoked",
                todo="change its keys with `registry-gate index rotate-root`",
            )
        signers: dict[str, Signer] = {role: make_key(path, secret) for role, path in places.items()}
        root = signed_bytes(make_root(_public(signers), 1, time), signers[ROOT])
        first = IndexContent(number=1, verifier=trust.verifier, hours=hours)
        write_files(settings.own_index, {"1.root.json": root, **files_of(first, signers, 1, time)})
        digest = sha256(root).hexdigest()
        pinned = IndexTrust(root=f"sha256:{digest}", address=_address(settings, digest))
        made = trust.model_copy(update={"index": pinned})
        save_trust(settings.trust, made)
    publish(settings, pinned)
    return made


def ensure_index(settings: Settings) -> tuple[str, ...]:
    """Make the index of a single user who has none; returns what to tell them.

    An administrator's trust file names its own root, and nothing is made up beside it.
    """
    if settings.administrator_trust.exists() or load_trust(settings.trust).index is not None:
        return ()
    try:
        init_root(settings)
    except UsageError as error:
        if error.code != "index-exists":
            raise
        return ()  # another process was first
    return (f"first use: made the index's keys in {settings.index_keys}; keep root.pem elsewhere",)


def rotate_root(
    settings: Settings,
    trust: Trust,
    replace: tuple[str, ...],
    *,
    root_key: Path | None = None,
    now: datetime | None = None,
) -> int:
    """Sign the next root, with new keys for some roles; clients follow from the root they know.

    The state is signed again at once, so that nothing depends on a key that was replaced. The passphrase that
    opens the old keys, or the one that is set where none is encrypted, encrypts the new ones.

    Args:
        settings: where keys and index lie.
        trust: names the first root.
        replace: roles, of ``root``, ``index``, ``timestamp``, that get a new key; empty to renew the root.
        root_key: where the root's key lies.
        now: aware time; the clock's if None.

    Returns:
        The new root's version.

    Raises:
        UsageError: ``bad-index-role``, ``no-private-key``.
    """
    if unknown := set(replace) - set(_ROLES):
        raise UsageError("bad-index-role", f"{min(unknown)[:50]!r} is not one of {', '.join(_ROLES)}")
    if trust.index is None:
        raise refusal("no-index", "the trust file names no index root")
    time = now or datetime.now(UTC)
    places = _places(settings, root_key)
    passphrase = passphrase_for(settings, places.values())
    with alone(settings):
        state = read_state(settings.own_index, trust.index, interrupted=True)
        ids = key_ids(state.root.signed)
        opened = partial(key_named, passphrase=passphrase)
        current = {role: opened(path, ids[role]) for role, path in places.items() if role not in replace}
        old_root = opened(places[ROOT], ids[ROOT])
        made = {role: next_key(places[role], passphrase) for role in replace}
        signers: dict[str, Signer] = {**current, **made}
        version = state.root.signed.version + 1
        root_signers = [old_root, signers[ROOT]] if ROOT in replace else [old_root]
        root = signed_bytes(make_root(_public(signers), version, time), *root_signers)
        content = state.content.model_copy(update={"number": state.content.number + 1})
        files = files_of(content, signers, state.timestamp.signed.version + 1, time)
        write_files(settings.own_index, {f"{version}.root.json": root, **files})
        for role, signer in signers.items():
            opened(places[role], signer.public_key.keyid)
    IndexRepository(settings, trust).refresh(now=now)
    return version


def _address(settings: Settings, digest: str) -> str:
    """Where readers look; on a server in a folder of this root, so that gates can share the server."""
    if settings.index is not None or settings.artifact_root is not None:
        return settings.index or settings.default_index
    return f"{settings.default_index}/{digest[:16]}"


def _places(settings: Settings, root_key: Path | None) -> dict[str, Path]:
    places = {role: key_path(settings.index_keys, role) for role in _ROLES}
    return places | ({ROOT: root_key} if root_key else {})


def _public(signers: dict[str, Signer]) -> dict[str, Key]:
    return {role: signer.public_key for role, signer in signers.items()}
