"""From a reference to the place its Release is read from; nothing found here is believed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from registry_gate.client.reference import Reference
from registry_gate.errors import FetchError

if TYPE_CHECKING:
    from registry_gate.registry import RegisteredVersion
    from registry_gate.settings import Settings
    from registry_gate.signing.folder import ReleaseSource

_SQLITE = "sqlite:///"


@contextmanager
def release_source(reference: Reference, settings: Settings) -> Iterator[ReleaseSource]:
    """Open the Release for reading.

    An http(s) registry whose artifacts it serves itself needs no MLflow here: three kinds of GET suffice.

    Raises:
        FetchError: ``not-in-registry``, ``registry-unreachable`` or ``no-such-release``.
    """
    from registry_gate.signing.folder import Folder

    if reference.folder is not None:
        with Folder(reference.folder) as folder:
            yield folder
        return
    if settings.registry_uri.startswith(("http://", "https://")):
        with _served(reference, settings.registry_uri) as source:
            yield source
        return
    found = _embedded_version(reference, settings.registry_uri)
    with stored_release(found.source_uri, settings.registry_uri) as source:
        yield source


@contextmanager
def _served(reference: Reference, registry_uri: str) -> Iterator[ReleaseSource]:
    from registry_gate.client.rest import RestRegistry

    registry = RestRegistry(registry_uri)
    name = reference.name or ""
    if reference.manifest is None:
        version = registry.version_for(name, reference.alias or "")
    else:
        version = registry.version_with(name, reference.manifest)
    if version is None:
        raise _absent(reference, registry_uri)
    with stored_release(version.source_uri, registry_uri) as source:
        yield source


def _embedded_version(reference: Reference, registry_uri: str) -> RegisteredVersion:
    from registry_gate.registry import Registry

    # Opening an embedded store makes it; looking for a model should not.
    if registry_uri.startswith(_SQLITE) and not Path(registry_uri.removeprefix(_SQLITE)).exists():
        raise _absent(reference, registry_uri)
    registry, name = Registry(registry_uri), reference.name or ""
    if reference.manifest is None:
        found = registry.version_for(name, reference.alias or "")
    else:
        found = next(
            (item for item in registry.versions(name) if item.manifest_digest == reference.manifest), None
        )
    if found is None:
        raise _absent(reference, registry_uri)
    return found


@contextmanager
def stored_release(
    source_uri: str, registry_uri: str, scratch: Path | None = None
) -> Iterator[ReleaseSource]:
    """Open the Release at the address that a registry gave for a version.

    A local store is read where it lies, a store behind the server file by file, each once; any other is
    fetched into a private folder under ``scratch`` first.

    Raises:
        FetchError: ``no-such-release``: nothing is there, or it is no address of a store;
            ``registry-unreadable``, ``registry-unreachable``.
    """
    from registry_gate.registry import local_path
    from registry_gate.signing.folder import Folder

    local = local_path(source_uri)
    if local is not None:
        with Folder(local) as folder:
            yield folder
        return
    proxied = _proxied(source_uri, registry_uri)
    if proxied is not None:
        yield proxied
        return
    with _fetched(source_uri, registry_uri, scratch) as source:
        yield source


def _proxied(source_uri: str, registry_uri: str) -> ReleaseSource | None:
    if not registry_uri.startswith(("http://", "https://")):
        return None
    from registry_gate.client.rest import RestRegistry
    from registry_gate.client.rest_release import RestRelease

    registry = RestRegistry(registry_uri)
    path = registry.served_path(source_uri)
    return None if path is None else RestRelease(registry, path)


@contextmanager
def _fetched(source_uri: str, registry_uri: str, scratch: Path | None) -> Iterator[ReleaseSource]:
    from registry_gate.registry import Registry
    from registry_gate.signing.folder import Folder

    private = Path(tempfile.mkdtemp(prefix="registry-gate-fetch-", dir=scratch))
    try:
        Registry(registry_uri).download(source_uri, private / "release")
        with Folder(private / "release") as folder:
            yield folder
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _absent(reference: Reference, registry_uri: str) -> FetchError:
    hint = ""
    if reference.id is not None and Path(reference.id).is_dir():
        hint = f"; for the folder of that name write ./{reference.id}"
    return FetchError(
        "not-in-registry",
        f"{registry_uri} has no {(reference.name or '')[:200]!r} under "
        f"{str(reference.manifest or reference.alias)[:200]!r}",
        todo=f"admit the model first with `registry-gate admit`, or check name and alias{hint}",
    )
