"""What a confined child can reach at all: interpreter, system libraries, this package, its inputs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from registry_gate.errors import ToolError

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "LOGNAME": "nobody",
    "OMP_NUM_THREADS": "2",
    "PATH": "/usr/bin:/bin",
    "TOKENIZERS_PARALLELISM": "false",
    "TORCHINDUCTOR_CACHE_DIR": "/",  # torch asks for a folder that exists when it is imported; none is used
    "TRANSFORMERS_OFFLINE": "1",
    "USER": "nobody",
}
"""The child's whole environment."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store")
_SETTINGS = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
)


def package() -> Path:
    """The folder of this package and nothing beside it: a checkout around it may hold keys."""
    return Path(__file__).resolve().parent.parent


def interpreter() -> tuple[Path, ...]:
    """The interpreter's own folders, the virtual environment's, and this package's.

    Raises:
        ToolError: ``no-sandbox`` when one of them contains the home folder, so that it would be laid open.
    """
    installed = package().parent
    beside = installed if installed.name in ("site-packages", "dist-packages") else package()
    folders = {
        *(Path(prefix) for prefix in (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)),
        Path(sys.executable).resolve().parent.parent,
        beside,
    }
    home = _home()
    for folder in folders:
        if home is not None and home.is_relative_to(folder.resolve()):
            raise ToolError(
                "no-sandbox",
                f"the interpreter's folder {folder} contains the home folder",
                why="a confined reader must be able to read its interpreter and must not read your home",
                todo="install registry-gate in a virtual environment",
            )
    return tuple(sorted(folders))


def _home() -> Path | None:
    try:
        return Path.home().resolve()
    except RuntimeError:  # a user id that no password file knows, usual in containers
        return None


def system() -> tuple[Path, ...]:
    """The system's programs and libraries, and the few settings that loading a library needs."""
    return tuple(path for path in map(Path, (*_SYSTEM, *_SETTINGS)) if path.exists())


def machine_description() -> tuple[Path, ...]:
    """Files by which numeric libraries learn how many cores and how much memory there are."""
    return tuple(map(Path, ("/proc/cpuinfo", "/proc/meminfo", "/proc/self/maps", "/sys/devices/system/cpu")))


def devices(device: str) -> tuple[Path, ...]:
    """Device files: the harmless ones, and NVIDIA's where the device is ``cuda``."""
    harmless = tuple(map(Path, ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")))
    return (*harmless, *nvidia()) if device == "cuda" else harmless


def nvidia() -> tuple[Path, ...]:
    """NVIDIA's device files that exist here."""
    return tuple(sorted(Path("/dev").glob("nvidia*")))


def bubblewrap() -> Path | None:
    """Where bubblewrap lies, or None."""
    found = shutil.which("bwrap")
    return Path(found) if found else None


def bubblewrap_arguments(inputs: Sequence[Path], device: str) -> list[str]:
    """The command line up to the program: new namespaces all round, and nothing in them to write to."""
    found = bubblewrap()
    arguments = [str(found), "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    arguments += ["--cap-drop", "ALL", "--hostname", "sandbox"]
    for name, value in ENVIRONMENT.items():
        arguments += ["--setenv", name, value]
    arguments += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - empty, and made read-only
    for path in (*system(), *interpreter(), Path("/sys/devices/system/cpu")):
        arguments += _shown(path)
    for path in inputs:
        arguments += ["--ro-bind", str(path.resolve()), str(path.resolve())]
    if device == "cuda":
        for path in nvidia():
            arguments += ["--dev-bind", str(path), str(path)]
    for place in ("/tmp", "/dev", "/"):  # noqa: S108 - see above
        arguments += ["--remount-ro", place]
    return [*arguments, "--chdir", "/", "--"]


def _shown(path: Path) -> list[str]:
    if not path.exists():
        return []
    if path.is_symlink() and path.parent == Path("/"):
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind", str(path), str(path)]
