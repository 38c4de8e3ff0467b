"""From the gate's own folder to where clients read: another folder, or an MLflow server's artifacts."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from registry_gate.errors import ToolError, UsageError
from registry_gate.settings import Settings
from registry_gate.signing.trust import IndexTrust

_SERVERS = ("http://", "https://")
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"


def publish(settings: Settings, pinned: IndexTrust) -> None:
    """Copy what readers lack, the timestamp last; nothing to do where they read the gate's own folder.

    Raises:
        UsageError: ``index-not-publishable``: a web server that the gate cannot write to.
        ToolError: ``index-not-published``, or the registry's error.
    """
    own = settings.own_index
    place = pinned.place(settings)
    if place == str(own):
        return
    if place.startswith(_SERVERS):
        _to_registry(own, place, settings)
        return
    target = Path(place)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path in _in_order(own):
            if not _same(path, target / path.name):
                partial = target / f".{path.name}.partial"
                shutil.copyfile(path, partial)
                partial.replace(target / path.name)
    except OSError as error:
        raise ToolError(
            "index-not-published",
            f"{error.filename}: {error.strerror}",
            why="nothing loads before it is listed where clients read the index",
            todo="make room or fix the permissions, then run `registry-gate index refresh`",
        ) from error


def _to_registry(own: Path, place: str, settings: Settings) -> None:
    prefix = f"{settings.registry_uri}{_ARTIFACTS}"
    if not place.startswith(prefix):
        raise UsageError(
            "index-not-publishable",
            f"the gate cannot write to {place}",
            why="nothing loads before it is listed where clients read the index",
            todo="give the gate the folder that this web server serves in REGISTRY_GATE_INDEX",
        )
    from registry_gate.registry import Registry

    folder = unquote(urlsplit(place).path.partition(_ARTIFACTS)[2])
    sent = own / ".published"
    known = set(sent.read_text().splitlines()) if sent.exists() else set()
    registry = Registry(settings.registry_uri)
    files = _in_order(own)
    for path in files:
        # every name but the timestamp's is of one content for ever
        if path.name == "timestamp.json" or f"{place}/{path.name}" not in known:
            registry.put_file(path, folder)
    sent.write_text("".join(f"{place}/{path.name}\n" for path in files))


def _in_order(own: Path) -> list[Path]:
    files = [path for path in own.iterdir() if path.name.endswith(".json") and not path.name.startswith(".")]
    return sorted(files, key=lambda path: (path.name == "timestamp.json", path.name))


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()
