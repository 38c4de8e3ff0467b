"""Runs a module of this package confined: bubblewrap, or Landlock with a system call filter and limits.

The parent chooses the strongest confinement that this machine really grants, starts the child in an
environment of its own making, and takes nothing from it but an answer of bounded size. The child's half is
:mod:`registry_gate.examine.confinement`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from registry_gate.errors import ToolError
from registry_gate.evidence import SandboxReport
from registry_gate.examine import landlock, reachable, seccomp
from registry_gate.examine.confinement import EXIT_MEMORY, EXIT_UNCONFINED, Confinement
from registry_gate.examine.conversation import Conversation, Ended, Spoken
from registry_gate.progress import Progress, silent

MODES = ("bubblewrap", "landlock")
_BOOT = (
    "import runpy, sys; sys.path.append(sys.argv.pop(1)); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
_PROBE_SECONDS = 20


def run_confined(
    module: str,
    request: bytes,
    *,
    inputs: Sequence[Path],
    seconds: int,
    memory_mb: int,
    accepted: Sequence[str],
    device: str = "cpu",
    progress: Progress = silent,
) -> tuple[bytes, SandboxReport]:
    """Run ``module`` confined; it gets ``request`` and reads ``inputs``, and can do nothing else.

    The request is sent only after the child has stated that every guarantee held when it tried to break it.

    Args:
        module: dotted name of a module that ends in ``confinement.serve(answer)``.
        request: what ``answer`` is called with.
        inputs: files and folders that the child may read; everything else of the machine but the interpreter,
            the system's libraries and this package is out of its reach.
        seconds: wall-clock limit; CPU time is limited to as many seconds a core.
        memory_mb: MiB of data the child may hold.
        accepted: sandbox modes the policy accepts, of :data:`MODES`.
        device: ``cpu`` or ``cuda``; ``cuda`` opens ``/dev/nvidia*`` and leaves the address space unbounded.
        progress: called with what the child reports.

    Returns:
        The answer and the report of what held.

    Raises:
        ToolError: ``no-sandbox``, ``sandbox-leaks``, ``reader-timeout``, ``reader-memory``,
            ``reader-crashed``, ``reader-answer``.
    """
    mode = choose(accepted)
    with _canary() as hidden:
        wanted = _confinement(mode, inputs, hidden, seconds, memory_mb, device)
        spoken = _converse(_command(wanted, module, inputs), request, seconds, progress)
    _raise_unless_finished(spoken, module, seconds, memory_mb)
    if spoken.report is None or spoken.report.mode != mode:
        raise _broken("reader-crashed", module, "it ended without stating its confinement", spoken.said)
    return spoken.answer, spoken.report


def choose(accepted: Sequence[str]) -> str:
    """The strongest accepted mode that works here. Raises ToolError ``no-sandbox``."""
    working = [mode for mode in available_sandboxes() if mode in accepted]
    if working:
        return working[0]
    raise ToolError(
        "no-sandbox",
        f"no accepted sandbox works on this machine: accepted {', '.join(accepted) or 'none'}, "
        f"working {', '.join(available_sandboxes()) or 'none'}",
        why="files of a candidate are hostile until examined; they are never read unconfined",
        todo="'apt-get install bubblewrap' (and allow user namespaces), or a kernel of at least 5.13 with "
        "Landlock enabled and a policy whose 'sandboxes' names landlock",
    )


@cache
def available_sandboxes() -> tuple[str, ...]:
    """The modes that work on this machine, strongest first, each found out by trying it."""
    working = []
    if seccomp.supported() and _bubblewrap_works():
        working.append("bubblewrap")
    if seccomp.supported() and landlock.version() > 0:
        working.append("landlock")
    return tuple(working)


def _bubblewrap_works() -> bool:
    """Installed is not enough: in many containers it may not make namespaces."""
    if reachable.bubblewrap() is None:
        return False
    command = [*reachable.bubblewrap_arguments((), "cpu"), sys.executable, "-I", "-S", "-c", ""]
    try:
        done = subprocess.run(
            command, env={}, cwd="/", capture_output=True, timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


@contextmanager
def _canary() -> Iterator[Path]:
    """A file that this user may read and the child may not."""
    with tempfile.TemporaryDirectory(prefix="registry-gate-canary-") as folder:
        canary = Path(folder) / "canary"
        canary.write_text("a confined reader has no business here")
        yield canary


def _confinement(
    mode: str, inputs: Sequence[Path], hidden: Path, seconds: int, memory_mb: int, device: str
) -> Confinement:
    readable = (*reachable.interpreter(), *reachable.system(), *reachable.machine_description())
    return Confinement(
        mode=mode,
        device=device,
        seconds=seconds,
        memory_mb=memory_mb,
        readable=tuple(str(path) for path in (*readable, *map(Path.resolve, inputs))),
        devices=tuple(str(path) for path in reachable.devices(device)),
        hidden=(str(hidden), "/etc/passwd", "/etc/shadow", f"/proc/{os.getpid()}/environ"),
        frozen=tuple(str(path.resolve()) for path in (*inputs, reachable.package())),
    )


def _command(wanted: Confinement, module: str, inputs: Sequence[Path]) -> list[str]:
    python = [sys.executable, "-I", "-B", "-c", _BOOT, str(reachable.package().parent), module]
    python.append(wanted.canonical().decode())
    if wanted.mode == "landlock":
        return python
    return [*reachable.bubblewrap_arguments(inputs, wanted.device), *python]


def _converse(command: list[str], request: bytes, seconds: int, progress: Progress) -> Spoken:
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=reachable.ENVIRONMENT,
        cwd="/",
        bufsize=0,
        start_new_session=True,
    ) as process:
        try:
            return Conversation(process, request, seconds, progress).hold()
        finally:
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the child's whole session; bubblewrap's death ends its process namespace with it."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _raise_unless_finished(spoken: Spoken, module: str, seconds: int, memory_mb: int) -> None:
    status = spoken.status
    died_of = -status if status < 0 else status - 128  # bubblewrap passes a death on as 128 + signal
    if spoken.ended is Ended.LEAKS:
        raise _broken("sandbox-leaks", module, spoken.reason, spoken.said)
    if spoken.ended is Ended.TOO_LATE or died_of == signal.SIGXCPU:
        raise _broken("reader-timeout", module, f"it took longer than {seconds} s", spoken.said)
    if spoken.ended is Ended.NONSENSE:
        raise _broken("reader-answer", module, spoken.reason, spoken.said)
    if status == EXIT_UNCONFINED:
        raise _broken("sandbox-leaks", module, "it could not confine itself", spoken.said)
    if status == EXIT_MEMORY or died_of == signal.SIGKILL:
        raise _broken("reader-memory", module, f"it needed more than {memory_mb} MiB", spoken.said)
    if status != 0:
        raise _broken("reader-crashed", module, f"it ended with status {status}", spoken.said)


def _broken(code: str, module: str, what: str, said: str) -> ToolError:
    return ToolError(
        code,
        f"the confined child {module}: {what}" + (f"; it said {said[-300:]!r}" if said else ""),
        why="what a confined child does not state in order cannot be relied on",
        todo="a hostile or damaged file is the usual cause; 'registry-gate scan' names it",
    )
