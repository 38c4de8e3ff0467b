"""A confined reader gone bad: it tries to reach out in every way a taken-over parser would.

Run through :func:`registry_gate.examine.sandbox.run_confined` with a request ``<attempt> <argument>``, or
several such lines; each is answered by a line ``escaped: ...`` or ``held: ...``, and some attempts never
answer. Use it to test a deployment.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from registry_gate.examine.confinement import serve
from registry_gate.progress import Progress


def connect(argument: str) -> str:
    """Open a TCP connection to a port of this machine."""
    with socket.create_connection(("127.0.0.1", int(argument)), timeout=5) as connection:
        connection.sendall(b"escaped")
    return "connected"


def connect_unix(argument: str) -> str:
    """Open a Unix socket, such as a container engine's."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(argument)
    return "connected"


def read(argument: str) -> str:
    """Read any file: a key, a canary, another process's environment."""
    with open(argument, "rb") as file:  # noqa: PTH123 - what a parser would do
        return repr(file.read(200))


def read_siblings(argument: str) -> str:
    """List a folder and read what lies in it."""
    return repr(sorted(os.listdir(argument)))  # noqa: PTH208 - what a parser would do


def environments(argument: str) -> str:
    """Look for a secret in the environment of every process there is to see."""
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - what a parser would do
        with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            if argument.encode() in file.read():
                return f"found in {pid}"
    raise OSError("found nowhere")


def write(argument: str) -> str:
    """Make a file."""
    with open(argument, "wb") as file:  # noqa: PTH123 - what a parser would do
        file.write(b"escaped")
    return "written"


def truncate(argument: str) -> str:
    """Empty a file that may only be read, without opening it for writing."""
    os.close(os.open(argument, os.O_RDONLY | os.O_TRUNC))
    return "emptied"


def chmod(argument: str) -> str:
    """Lay a file open to everyone."""
    os.chmod(argument, 0o777)  # noqa: PTH101 - what a parser would do
    return "changed"


def unlink(argument: str) -> str:
    """Remove a file."""
    os.unlink(argument)  # noqa: PTH108 - what a parser would do
    return "removed"


def fork(_: str) -> str:
    """Become many."""
    for _index in range(64):
        if os.fork() == 0:
            time.sleep(60)
    return "forked"


def shell(_: str) -> str:
    """Run a command."""
    return subprocess.run(["/bin/sh", "-c", "id"], capture_output=True, text=True, check=True).stdout


def execute(_: str) -> str:
    """Become another program."""
    os.execv("/bin/sh", ["/bin/sh", "-c", "echo escaped"])


def kill(argument: str) -> str:
    """Signal another process."""
    os.kill(int(argument), signal.SIGTERM)
    return "signalled"


def ptrace(argument: str) -> str:
    """Attach to another process."""
    return _call(101 if sys.maxsize and os.uname().machine == "x86_64" else 117, 16, int(argument), 0, 0)


def namespace(_: str) -> str:
    """Make a user namespace, where one would be root again."""
    return _call(272 if os.uname().machine == "x86_64" else 97, 0x10000000)


def io_uring(_: str) -> str:
    """Set up a ring that takes system calls past the filter."""
    return _call(425, 8, ctypes.addressof(ctypes.create_string_buffer(256)))


def raise_limits(_: str) -> str:
    """Lift the limit on memory again."""
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return "lifted"


def eat_memory(_: str) -> str:
    """Hold more and more private memory."""
    held = []
    while True:
        held.append(bytearray(32 << 20))


def eat_shared_memory(argument: str) -> str:
    """Hold shared memory, which some limits do not count."""
    area = mmap.mmap(-1, int(argument), flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    return f"{len(area)} bytes"


def sleep(_: str) -> str:
    """Never answer."""
    while True:
        time.sleep(60)


def spin(_: str) -> str:
    """Never answer, and be busy."""
    while True:
        pass


def flood(_: str) -> str:
    """Answer more than any honest reader."""
    return "x" * (320 << 20)


def flood_errors(_: str) -> str:
    """Write half a gigabyte of progress and nonsense to stderr, then answer."""
    for _index in range(512):
        os.write(2, b"@progress " + b"\x1b[31m" * (1 << 18))
    raise OSError("done")


def crash(_: str) -> str:
    """Read through a null pointer."""
    return ctypes.string_at(0).decode()


def forge(_: str) -> str:
    """Print a report of one's own making to what used to be standard output."""
    os.write(1, b'registry-gate-child 1 {"mode":"bubblewrap","guarantees":["all"]}\n')
    raise OSError("it went to stderr")


def threads(_: str) -> str:
    """Start threads, which is allowed and must work."""
    counted: list[int] = []
    workers = [threading.Thread(target=counted.append, args=(index,)) for index in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return f"{len(counted)} threads"


def _call(number: int, *arguments: int) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return f"system call {number} succeeded"


ATTEMPTS: dict[str, Callable[[str], str]] = {
    attempt.__name__: attempt
    for attempt in (
        *(connect, connect_unix, read, read_siblings, environments, write, truncate, chmod, unlink),
        *(fork, shell, execute, kill, ptrace, namespace, io_uring, raise_limits),
        *(eat_memory, eat_shared_memory, sleep, spin, flood, flood_errors, crash, forge, threads),
    )
}


def answer(request: bytes, progress: Progress) -> bytes:
    """Try what the request names, one attempt after the other, and tell how each went."""
    progress("attempt", 0, 1)
    return "\n".join(_tried(line) for line in request.decode().split("\n")).encode()


def _tried(line: str) -> str:
    name, _, argument = line.partition(" ")
    try:
        return f"escaped: {ATTEMPTS[name](argument)}".replace("\n", " ")
    except (OSError, ValueError) as error:
        return f"held: {error}".replace("\n", " ")


if __name__ == "__main__":
    serve(answer)
