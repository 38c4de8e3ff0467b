"""The newest state of the index that its keys vouch for, held against what this user has seen before.

The client workflow of The Update Framework, run by the library `tuf`: its local metadata is the memory of the
highest versions seen.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from registry_gate.errors import Error, FetchError
from registry_gate.index.content import NAME, IndexContent
from registry_gate.signing.dsse import parse_canonical
from registry_gate.signing.refusal import refusal, shown

if TYPE_CHECKING:
    from registry_gate.index.transport import Fetcher
    from registry_gate.settings import Settings
    from registry_gate.signing.trust import IndexTrust, Trust

_MAX_ROOT_BYTES = 512_000
_ABSENT = (404, 410)  # whatever else a server answers, it did not say what it has


def read_index(settings: Settings, trust: Trust) -> IndexContent:
    """Fetch, verify and remember the index.

    Where this user's home cannot be written there is no memory: the timestamp's short life and the trust
    file's ``minimum_version`` stand alone then.

    Raises:
        VerificationError: ``no-index``, ``index-untrusted``, ``index-stale``, ``index-rolled-back``.
        FetchError: ``index-unreachable``.
    """
    if trust.index is None:
        raise refusal("no-index", "the trust file names no index root")
    with _memory(settings, trust.index) as folder:
        content = _updated(folder, settings, trust.index)
    if content.number < trust.index.minimum_version:
        raise refusal(
            "index-rolled-back",
            f"the index is at version {content.number}, and the trust file asks for "
            f"{trust.index.minimum_version} at least",
        )
    if content.verifier != trust.verifier:
        raise refusal("index-untrusted", f"it is the index of {shown(content.verifier)}")
    return content


def read_lifetimes(settings: Settings, trust: Trust) -> dict[str, datetime]:
    """When the newest metadata of each role ends, by role, read and verified as ``read_index`` does.

    Raises what ``read_index`` raises.
    """
    from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

    read_index(settings, trust)
    if trust.index is None:
        raise refusal("no-index", "the trust file names no index root")
    with _memory(settings, trust.index) as folder:
        _updated(folder, settings, trust.index)
        roles = (Root.type, Timestamp.type, Snapshot.type, Targets.type)
        return {role: Metadata.from_file(str(folder / f"{role}.json")).signed.expires for role in roles}


def _updated(folder: Path, settings: Settings, pinned: IndexTrust) -> IndexContent:
    from tuf.api import exceptions
    from tuf.ngclient.updater import Updater

    from registry_gate.index.transport import Fetcher

    place = pinned.place(settings)
    fetcher = Fetcher(place, settings.registry_uri)
    where = shown(place)
    try:
        updater = Updater(
            str(folder), fetcher.base, str(folder), fetcher.base, fetcher,
            bootstrap=_root(folder, pinned, fetcher),
        )  # fmt: skip
        updater.refresh()
        info = updater.get_targetinfo(NAME)
        if info is None:
            raise refusal("index-untrusted", f"the metadata at {where} names no {NAME}")
        path = updater.find_cached_target(info) or updater.download_target(info)
        data = Path(path).read_bytes()
        info.verify_length_and_hashes(data)
        return _parsed(data)
    except exceptions.ExpiredMetadataError as error:
        raise refusal("index-stale", f"at {where}: {shown(str(error))}") from error
    except exceptions.BadVersionNumberError as error:
        raise refusal("index-rolled-back", f"at {where}: {shown(str(error))}") from error
    except exceptions.RepositoryError as error:
        raise refusal("index-untrusted", f"at {where}: {shown(str(error))}") from error
    except exceptions.DownloadLengthMismatchError as error:
        raise refusal("index-untrusted", f"at {where}: {shown(str(error))}") from error
    except exceptions.DownloadHTTPError as error:
        if error.status_code not in _ABSENT:
            raise _unreachable(place, error) from error
        raise refusal("no-index", f"{where} is not whole: {shown(str(error))}") from error
    except (exceptions.DownloadError, OSError) as error:
        raise _unreachable(place, error) from error


def _parsed(data: bytes) -> IndexContent:
    try:
        parse_canonical(data)
        return IndexContent.from_json(data)
    except (ValidationError, ValueError) as error:
        raise refusal("index-untrusted", "it is signed but is not an index of this version") from error


def _root(folder: Path, pinned: IndexTrust, fetcher: Fetcher) -> bytes:
    """The root metadata that the trust file pins, from memory or from the index's place."""
    name = f"{pinned.root_version}.root.json"
    kept = folder / "root_history" / name
    data = kept.read_bytes() if kept.is_file() else b""
    if _digest(data) != pinned.root:
        data = fetcher.download_bytes(f"{fetcher.base}{name}", _MAX_ROOT_BYTES)
    if _digest(data) != pinned.root:
        raise refusal("index-untrusted", f"{name} is not the root that the trust file pins")
    return data


def _digest(data: bytes) -> str:
    return f"sha256:{sha256(data).hexdigest()}"


@contextmanager
def _memory(settings: Settings, pinned: IndexTrust) -> Iterator[Path]:
    """This user's folder for an index, alone: two loads at once must not take turns at forgetting."""
    folder = settings.seen / pinned.root.removeprefix("sha256:")[:32]
    try:
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        with tempfile.TemporaryDirectory(prefix="registry-gate-index-") as forgotten:
            yield Path(forgotten)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(lock)


def _unreachable(address: str, error: Exception) -> Error:
    return FetchError(
        "index-unreachable",
        f"the index at {shown(address)} could not be read: {shown(str(error.__cause__ or error))}",
        why="what was revoked is not known without it, so nothing loads",
        todo="check REGISTRY_GATE_INDEX, the network and the registry's credentials",
    )
