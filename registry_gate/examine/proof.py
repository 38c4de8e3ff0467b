"""Tries to break out, from inside: a guarantee is reported only after the attempt against it failed."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from registry_gate.examine import capabilities, seccomp

GUARANTEES = (
    "limits",
    "no-capabilities",
    "no-network",
    "no-other-processes",
    "no-other-programs",
    "no-reading-elsewhere",
    "no-writing",
    "system-call-filter",
)
"""All that must hold before a child is given its request, sorted."""


def no_network() -> bool:
    """No socket of any common family can be made."""
    families = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK)
    return all(_fails(socket.socket, family) for family in families)


def no_other_programs() -> bool:
    """No program can be executed; if one could, this process would be gone and no report be written."""
    return _fails(os.execv, sys.executable, [sys.executable, "-I", "-S", "-c", ""])


def no_other_processes() -> bool:
    """No process can be started, and none but this one signalled."""
    return _fails(_fork) and _fails(os.kill, os.getppid() or 1, 0) and _fails(os.kill, -1, 0)


def unreadable(paths: Iterable[str]) -> bool:
    """None of the paths opens: a canary that the parent made, and files any user of the machine may read."""
    return all(_fails(os.open, path, os.O_RDONLY) for path in paths)


def unwritable(paths: Iterable[str]) -> bool:
    """Nothing opens for writing, and no file can be made in, beside or above the paths."""
    folders = {Path("/"), Path("/tmp"), Path("/dev/shm"), Path.cwd()}  # noqa: S108 - places to try
    for path in map(Path, paths):
        folders |= {path, *path.parents}
        if path.is_file() and not _fails(os.open, path, os.O_WRONLY):
            return False
    return not any(_made(folder) for folder in sorted(folders))


PROOFS: dict[str, Callable[[], bool]] = {
    "no-capabilities": capabilities.none_held,
    "no-network": no_network,
    "no-other-processes": no_other_processes,
    "no-other-programs": no_other_programs,
    "system-call-filter": seccomp.installed,
}


def _fails(attempt: Callable[..., object], *arguments: object) -> bool:
    try:
        attempt(*arguments)
    except OSError:
        return True
    return False


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _made(folder: Path) -> bool:
    """Try to make a file, of a name that nothing has; take it away again where that succeeded.

    That it cannot be taken away (the system call filter forbids it) makes it no less written.
    """
    path = folder / f".registry-gate-{os.getpid()}"
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError:
        return False
    with suppress(OSError):
        path.unlink()
    return True
