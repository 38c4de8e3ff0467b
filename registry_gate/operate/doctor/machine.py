"""The machine: room on the disk, the libraries that were locked, a GPU or none."""

from __future__ import annotations

import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib import metadata, resources
from pathlib import Path

from registry_gate import version
from registry_gate.examine.reachable import nvidia
from registry_gate.operate.doctor.probe import Installation, Probe, Said, failed, ok, unknown

_LOCKS = ("requirements.lock", "requirements-torch.lock")
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\\n]+)", re.MULTILINE)
_ROOM_GIB = 2.0
_TOLD = ("mlflow", "safetensors", "sigstore", "model-signing", "tuf", "cryptography", "torch", "transformers")


def versions() -> dict[str, str]:
    """What a self-test records of the software it ran with."""
    told = {name: found for name in _TOLD if (found := _installed(name)) is not None}
    return {
        "registry-gate": version.VERSION,
        "python": platform.python_version(),
        "kernel": platform.release(),
        **told,
    }


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _disk(installation: Installation) -> Said:
    """Admitting takes up to three copies of a model; below the least, not even the log can be written."""
    places = {"home": installation.settings.home, "temporary files": Path(tempfile.gettempdir())}
    if installation.settings.artifact_root is not None:
        places["registry"] = installation.settings.artifact_root
    free = {what: _free_gib(path) for what, path in places.items()}
    measured = ", ".join(f"{what} {room:.1f} GiB" for what, room in free.items())
    if min(free.values()) < _ROOM_GIB:
        return failed(
            f"{measured} free", f"make room: {_ROOM_GIB:.0f} GiB at least, and three times the model"
        )
    return ok(f"{measured} free: a model of {free['home'] / 3:.0f} GiB at most")


def _free_gib(path: Path) -> float:
    """Room where a folder lies, or will: that of the nearest one that is there."""
    there = next(place for place in (path, *path.parents) if place.exists())
    return shutil.disk_usage(there).free / 2**30


def locked_versions() -> dict[str, str]:
    """The pinned version of every package of the lock, by name; empty where no lock came along."""
    packaged = Path(str(resources.files("registry_gate")))
    folder = packaged if (packaged / _LOCKS[0]).is_file() else packaged.parent
    texts = (path.read_text(encoding="utf-8") for path in map(folder.joinpath, _LOCKS) if path.is_file())
    return {name: pinned for text in texts for name, pinned in _PINNED.findall(text)}


def _libraries(_installation: Installation) -> Said:
    locked = locked_versions()
    if not locked:
        return unknown("no lock came with this installation", "install from the wheel or a checkout")
    found = {name: _installed(name) for name in locked}
    present = {name: here for name, here in found.items() if here is not None}
    differing = list(_differing(present, locked))
    measured = f"{len(present) - len(differing)} of {len(present)} installed packages are as locked"
    if differing:
        return failed(
            f"{measured}; not: {', '.join(differing[:10])}",
            "install what was tested: pip install --require-hashes --no-deps -r requirements.lock",
        )
    return ok(measured)


def _differing(present: dict[str, str], locked: dict[str, str]) -> Iterator[str]:
    """A build's local version (``+cpu``) is the machine's own business."""
    for name, here in present.items():
        if here.partition("+")[0] != locked[name]:
            yield f"{name} {here} instead of {locked[name]}"


def _gpu(_installation: Installation) -> Said:
    found = [path.name for path in nvidia() if path.name.removeprefix("nvidia").isdigit()]
    return ok(f"{len(found)} NVIDIA devices" if found else "none: behaviour tests run on the processor")


PROBES = (
    Probe("disk-space", "there is room to admit something", _disk),
    Probe("versions-locked", "libraries have the versions that were locked and tested", _libraries),
    Probe("gpu", "for information: whether there is a GPU", _gpu),
)
