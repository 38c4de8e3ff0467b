"""The child's half of the sandbox: confine this process, prove it, then answer one request.

A child module is confined code that ends in ``if __name__ == "__main__": serve(answer)``. It may import
nothing that starts threads (numpy, torch) before :func:`serve` has been called, because Landlock and
capabilities are given up a thread at a time; ``answer`` imports them.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pydantic import Field, ValidationError

from registry_gate.evidence import SandboxReport
from registry_gate.examine import capabilities, landlock, proof, seccomp
from registry_gate.progress import Progress
from registry_gate.record import Record

EXIT_UNCONFINED = 70
EXIT_MEMORY = 71
PROTOCOL = b"registry-gate-child 1 "
ADDRESS_SPACE_EXTRA_MB = 8192


class Confinement(Record):
    """What the parent asks of the child. Paths are absolute; ``seconds`` of CPU time, ``memory_mb`` of data.

    ``readable`` and ``devices`` are what Landlock leaves; ``hidden`` must not open, ``frozen`` must not be
    written to.
    """

    mode: str = Field(pattern="^(bubblewrap|landlock)$")
    device: str = Field(pattern="^(cpu|cuda)$")
    seconds: int = Field(gt=0)
    memory_mb: int = Field(gt=0)
    readable: tuple[str, ...]
    devices: tuple[str, ...]
    hidden: tuple[str, ...]
    frozen: tuple[str, ...]


Answer = Callable[[bytes, Progress], bytes]
"""``answer(request, progress)``: what a child module does."""


def serve(answer: Answer) -> None:
    """Confine this process, state what held, read the request from stdin, write the answer to stdout.

    Only the answer reaches the parent's pipe: whatever else is printed goes to stderr. Ends the process, with
    ``EXIT_UNCONFINED`` and before reading anything where the confinement fails.
    """
    channel = _take_stdout()
    report = _enter(channel)
    tempfile.tempdir = "/nonexistent"  # libraries ask for its name when imported, and none would be found
    os.write(channel, PROTOCOL + report.canonical() + b"\n")
    try:
        _write_all(channel, answer(sys.stdin.buffer.read(), _progress))
    except MemoryError:
        os._exit(EXIT_MEMORY)
    sys.stderr.flush()
    os._exit(0)  # tidying up the libraries takes a second that nobody needs


def _take_stdout() -> int:
    """Keep the pipe to the parent for the answer alone: file descriptor 1 becomes stderr."""
    channel = os.dup(1)
    os.dup2(2, 1)
    return channel


def _enter(channel: int) -> SandboxReport:
    try:
        wanted = Confinement.from_json(sys.argv[1])
        _confine(wanted)
        return SandboxReport(mode=wanted.mode, guarantees=_held(wanted))
    except (IndexError, ValidationError, OSError, ValueError) as error:
        os.close(channel)
        sys.stderr.write(f"not confined, so nothing was read: {error}\n")
        sys.stderr.flush()
        os._exit(EXIT_UNCONFINED)


def _confine(wanted: Confinement) -> None:
    if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208 - a count, and no objects to make
        raise OSError("threads were started before the confinement")
    _limit(wanted)
    seccomp.die_with_parent()
    capabilities.drop()
    seccomp.forbid_new_privileges()
    if wanted.mode == "landlock":
        landlock.restrict(map(Path, wanted.readable), map(Path, wanted.devices))
    seccomp.install()


def _limit(wanted: Confinement) -> None:
    """Resource limits, hard ones, so that they cannot be raised again.

    RLIMIT_DATA counts what a process really writes to; the address space is bounded as well, with room for
    mapped libraries, except for CUDA, whose driver reserves terabytes of addresses and locks pages.
    """
    for kind, soft, hard in limits(wanted):
        resource.setrlimit(kind, (soft, hard))


def limits(wanted: Confinement) -> tuple[tuple[int, int, int], ...]:
    """The (resource, soft, hard) limits that a confinement asks for, in the units of setrlimit(2)."""
    memory = wanted.memory_mb << 20
    processor = wanted.seconds * (os.cpu_count() or 1)
    bounds = [
        (resource.RLIMIT_DATA, memory, memory),
        (resource.RLIMIT_CPU, processor, processor + 5),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, 1024, 1024),
    ]
    if wanted.device == "cpu":
        space = memory + (ADDRESS_SPACE_EXTRA_MB << 20)
        bounds += [(resource.RLIMIT_AS, space, space), (resource.RLIMIT_MEMLOCK, 0, 0)]
    return tuple((kind, _lower(kind, soft), _lower(kind, hard)) for kind, soft, hard in bounds)


def _lower(kind: int, value: int) -> int:
    """An administrator's tighter hard limit stays."""
    hard = resource.getrlimit(kind)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _held(wanted: Confinement) -> tuple[str, ...]:
    """The guarantees, each tried; the parent refuses the child unless all of them held."""
    proofs = proof.PROOFS | {"limits": lambda: _limits_hold(wanted)}
    tried = {name: attempt() for name, attempt in proofs.items()}
    tried["no-reading-elsewhere"] = proof.unreadable(wanted.hidden)
    tried["no-writing"] = proof.unwritable(wanted.frozen)
    return tuple(sorted(name for name, held in tried.items() if held))


def _limits_hold(wanted: Confinement) -> bool:
    return all(resource.getrlimit(kind) == (soft, hard) for kind, soft, hard in limits(wanted))


def _progress(stage: str, done: int, total: int) -> None:
    sys.stderr.write(f"@progress {stage} {done} {total}\n")
    sys.stderr.flush()


def _write_all(channel: int, answer: bytes) -> None:
    view = memoryview(answer)
    while view:
        view = view[os.write(channel, view) :]
