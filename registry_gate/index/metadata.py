"""The metadata files of The Update Framework, as the gate writes them and reads its own back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from registry_gate.index.content import NAME, IndexContent
from registry_gate.index.keys import INDEX, ROOT, TIMESTAMP
from registry_gate.signing.refusal import refusal, shown
from registry_gate.signing.trust import IndexTrust

ROOT_LIFE = timedelta(days=3 * 365)
INDEX_LIFE = timedelta(days=365)
_KEY_OF = {Root.type: ROOT, Targets.type: INDEX, Snapshot.type: INDEX, Timestamp.type: TIMESTAMP}
_MAX_ROOTS = 256

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)


@dataclass(frozen=True)
class State:
    """The newest state in a folder, its signatures verified, whatever its age."""

    root: Metadata[Root]
    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    targets: Metadata[Targets]
    content: IndexContent


def make_root(keys: dict[str, Key], version: int, now: datetime) -> Metadata[Root]:
    """An unsigned root that gives each role its key (``keys`` by the names of ``index.keys``)."""
    root = Root(version=version, expires=(now + ROOT_LIFE).replace(microsecond=0), consistent_snapshot=True)
    for role, name in _KEY_OF.items():
        root.add_key(keys[name], role)
    return Metadata(root)


def key_ids(root: Root) -> dict[str, str]:
    """The id of the key of each name of ``index.keys``."""
    return {name: root.roles[role].keyids[0] for role, name in _KEY_OF.items()}


def files_of(
    content: IndexContent, signers: dict[str, Signer], timestamp_version: int, now: datetime
) -> dict[str, bytes]:
    """Every file of one state but the root, by name, in the order to write them: the timestamp last."""
    data = content.canonical()
    number = content.number
    life = (now + INDEX_LIFE).replace(microsecond=0)
    targets = Targets(version=number, expires=life, targets={NAME: TargetFile.from_data(NAME, data)})
    targets_bytes = signed_bytes(Metadata(targets), signers[INDEX])
    meta = {"targets.json": MetaFile.from_data(number, targets_bytes, ["sha256"])}
    snapshot_bytes = signed_bytes(Metadata(Snapshot(version=number, expires=life, meta=meta)), signers[INDEX])
    return {
        f"{sha256(data).hexdigest()}.{NAME}": data,
        f"{number}.targets.json": targets_bytes,
        f"{number}.snapshot.json": snapshot_bytes,
        "timestamp.json": timestamp_bytes(
            MetaFile.from_data(number, snapshot_bytes, ["sha256"]),
            content.hours, signers[TIMESTAMP], timestamp_version, now,
        ),
    }  # fmt: skip


def timestamp_bytes(snapshot: MetaFile, hours: int, signer: Signer, version: int, now: datetime) -> bytes:
    """The timestamp that calls a snapshot the newest for some hours."""
    expires = (now + timedelta(hours=hours)).replace(microsecond=0)
    return signed_bytes(Metadata(Timestamp(version=version, expires=expires, snapshot_meta=snapshot)), signer)


def signed_bytes(metadata: Metadata[S], *signers: Signer) -> bytes:
    """Metadata as a file, with a signature by each signer."""
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes(JSONSerializer(compact=True))


def read_state(folder: Path, pinned: IndexTrust, *, interrupted: bool = False) -> State:
    """The state that a folder holds: every signature and digest verified, expiry left to the caller.

    With ``interrupted`` the state may still be signed by the keys of the root before the newest one: so a
    change of keys that was killed between root and state leaves it.

    Raises:
        VerificationError: ``no-index``, ``index-untrusted``.
    """
    try:
        roots = _roots(folder, pinned)
        root = roots[-1]
        known = roots[-2:] if interrupted else roots[-1:]
        timestamp = _delegated(known, Timestamp, _read(folder, "timestamp.json"))
        meta = timestamp.signed.snapshot_meta
        snapshot = _delegated(known, Snapshot, _read(folder, f"{meta.version}.snapshot.json", meta))
        meta = snapshot.signed.meta["targets.json"]
        targets = _delegated(known, Targets, _read(folder, f"{meta.version}.targets.json", meta))
        target = targets.signed.targets[NAME]
        data = _read(folder, f"{target.hashes['sha256']}.{NAME}", target)
        content = IndexContent.from_json(data)
    except OSError as error:
        raise refusal("no-index", f"{shown(str(error.filename))}: {error.strerror}") from error
    except (RepositoryError, ValueError, KeyError) as error:
        raise refusal("index-untrusted", f"{shown(str(folder))}: {shown(str(error))}") from error
    return State(root, timestamp, snapshot, targets, content)


def _roots(folder: Path, pinned: IndexTrust) -> list[Metadata[Root]]:
    """The pinned root and those that follow it, each signed by the one before it and by itself."""
    data = _read(folder, f"{pinned.root_version}.root.json")
    if f"sha256:{sha256(data).hexdigest()}" != pinned.root:
        raise refusal("index-untrusted", f"{pinned.root_version}.root.json is not the root of the trust file")
    roots: list[Metadata[Root]] = [Metadata[Root].from_bytes(data)]
    for version in range(pinned.root_version + 1, pinned.root_version + _MAX_ROOTS):
        path = folder / f"{version}.root.json"
        if not path.exists():
            break
        newer: Metadata[Root] = Metadata[Root].from_bytes(path.read_bytes())
        roots[-1].verify_delegate(Root.type, newer)
        newer.verify_delegate(Root.type, newer)
        roots.append(newer)
    return roots


def _delegated(roots: list[Metadata[Root]], kind: type[S], data: bytes) -> Metadata[S]:
    found: Metadata[S] = Metadata.from_bytes(data)
    if not isinstance(found.signed, kind):
        raise ValueError(f"it is no {kind.type} metadata")
    for older in roots[:-1]:
        with suppress(RepositoryError):
            older.verify_delegate(kind.type, found)
            return found
    roots[-1].verify_delegate(kind.type, found)
    return found


def _read(folder: Path, name: str, expected: MetaFile | TargetFile | None = None) -> bytes:
    data = (folder / name).read_bytes()
    if expected is not None:
        expected.verify_length_and_hashes(data)
    return data


Edit = Callable[[IndexContent], IndexContent]
"""From one state of the index to the next; equal where there is nothing to do."""
