"""Does the sandbox hold? Each probe sends a child in that tries to break out, in every mode that is used.

What a taken-over reader would try is tried by :mod:`registry_gate.testing.escape_probe`. Each attempt has a
counterpart that must succeed (the listener answers the parent, the input can be read), so that "it failed"
never means "it was not tried".
"""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from registry_gate.errors import ToolError
from registry_gate.examine.sandbox import available_sandboxes, choose, run_confined
from registry_gate.operate.doctor.probe import Installation, Probe, Said, failed, ok
from registry_gate.signing.keys import private_key_path

_CHILD = "registry_gate.testing.escape_probe"
_SECONDS = 30
_MEMORY_MB = 512
_HELD = "held: "
_INPUT = "model.bin"
_LEAKS = "do not admit anything here; find out what changed in the kernel or the sandbox's programs"

Attempt = Callable[[str, Path], Iterator[str]]
"""In one mode, with a folder that the child may read: yields what escaped."""

Deed = tuple[str, object]
"""An attempt of the probe's, and its argument."""


def _child(mode: str, inputs: Path, deeds: Sequence[Deed], seconds: int, memory_mb: int) -> list[str]:
    """What one child answers to its deeds, in order."""
    request = "\n".join(f"{deed} {argument}" for deed, argument in deeds)
    answer, _ = run_confined(
        _CHILD,
        request.encode(),
        inputs=[inputs],
        seconds=seconds,
        memory_mb=memory_mb,
        accepted=[mode],
    )
    said = answer.decode(errors="replace").split("\n")
    if len(said) != len(deeds):
        raise ToolError("probe-blind", f"{len(deeds)} attempts were asked for, {len(said)} are answered")
    return said


def _escapes(mode: str, inputs: Path, deeds: Sequence[Deed]) -> list[str]:
    """The deeds that succeeded; raises ToolError ``probe-blind`` where nothing can have been tried.

    What the child answers is not shown: it may be what it read.
    """
    control, *said = _child(mode, inputs, [("read", inputs / _INPUT), *deeds], _SECONDS, _MEMORY_MB)
    if control != "escaped: b'weights'":
        raise ToolError("probe-blind", "the child could not read even its input")
    return [
        f"{deed} {argument}".strip()
        for (deed, argument), how in zip(deeds, said, strict=True)
        if not how.startswith(_HELD)
    ]


def _in_each_mode(installation: Installation, code: str, attempt: Attempt, tried: str) -> Said:
    accepted = installation.policy.sandboxes
    choose(accepted)  # raises where none works
    modes = [mode for mode in available_sandboxes() if mode in accepted]
    inputs = installation.folder(code)
    (inputs / _INPUT).write_bytes(b"weights")
    try:
        escaped = [f"{mode}: {what} succeeded" for mode in modes for what in attempt(mode, inputs)]
    except ToolError as error:
        if error.code != "sandbox-leaks":
            raise
        return failed(str(error), _LEAKS)
    if escaped:
        return failed("; ".join(escaped), _LEAKS)
    return ok(f"{tried}: refused ({', '.join(modes)})")


def _available(installation: Installation) -> Said:
    accepted = installation.policy.sandboxes
    used, working = choose(accepted), available_sandboxes()
    return ok(f"{used} is used; working here: {', '.join(working)}; accepted: {', '.join(accepted)}")


def _network(installation: Installation) -> Said:
    def attempt(mode: str, inputs: Path) -> Iterator[str]:
        path = inputs / f"{mode[:4]}.sock"
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
            port = server.getsockname()[1]
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            server.accept()[0].close()  # the listener works: what comes now, the child sent
            local.bind(str(path))
            local.listen()
            yield from _escapes(mode, inputs, [("connect", port), ("connect_unix", path)])
            server.settimeout(0.1)
            with suppress(TimeoutError):
                server.accept()[0].close()
                yield "a connection"

    return _in_each_mode(installation, "sandbox-network", attempt, "a TCP and a Unix socket")


def _reading(installation: Installation) -> Said:
    secret = secrets.token_hex(16)
    beside = installation.scratch / "secret"
    beside.write_text(secret)
    key = private_key_path(installation.settings)
    targets = [beside, Path("/etc/passwd"), *([key] if key.exists() else [])]
    deeds: list[Deed] = [*(("read", target) for target in targets), ("environments", secret)]

    what = "a file beside the input, /etc/passwd, the signing key, environments"
    with _holding(secret):
        return _in_each_mode(
            installation, "sandbox-reading", lambda mode, inputs: iter(_escapes(mode, inputs, deeds)), what
        )


@contextmanager
def _holding(secret: str) -> Iterator[None]:
    """A process of this user whose environment holds a secret, and shows it to whoever may look."""
    idle = [sys.executable, "-I", "-S", "-c", "print(flush=True); input()"]
    with subprocess.Popen(
        idle, env={"SECRET": secret}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            if process.stdout is not None:
                process.stdout.readline()  # it runs: its environment is in place
            if secret.encode() not in Path(f"/proc/{process.pid}/environ").read_bytes():
                raise ToolError(
                    "probe-blind", "not even the parent sees the environment that holds the secret"
                )
            yield
        finally:
            process.kill()


def _writing(installation: Installation) -> Said:
    outside = installation.folder("outside")

    def attempt(mode: str, inputs: Path) -> Iterator[str]:
        targets = (outside / mode, inputs / mode, inputs / _INPUT)
        changes = [(deed, inputs / _INPUT) for deed in ("truncate", "chmod", "unlink")]
        yield from _escapes(mode, inputs, [*(("write", target) for target in targets), *changes])
        if any(outside.iterdir()) or (inputs / _INPUT).read_bytes() != b"weights":
            yield "a change of a file"

    return _in_each_mode(installation, "sandbox-writing", attempt, "new files, and changes of the input")


def _processes(installation: Installation) -> Said:
    names = ("fork", "shell", "execute", "namespace", "io_uring", "raise_limits")
    deeds: list[Deed] = [(name, "") for name in names]
    tried = "64 forks, a shell, exec, a namespace, an io_uring, lifted limits"
    return _in_each_mode(
        installation, "sandbox-processes", lambda mode, inputs: iter(_escapes(mode, inputs, deeds)), tried
    )


def _limit(code: str, deed: str, expected: str, seconds: int, memory: int) -> Callable[[Installation], Said]:
    """A deed without end, which must be ended by the limit that is meant for it."""

    def attempt(mode: str, inputs: Path) -> Iterator[str]:
        try:
            _child(mode, inputs, [(deed, "")], seconds, memory)
        except ToolError as error:
            if error.code != expected:
                raise
        else:
            yield f"{deed} without end"

    tried = f"{deed.replace('_', ' ')} against {memory} MiB and {seconds} s"
    return lambda installation: _in_each_mode(installation, code, attempt, tried)


PROBES = (
    Probe("sandbox-available", "a sandbox that the policy accepts works here", _available),
    Probe("sandbox-network", "a confined reader reaches no network", _network),
    Probe("sandbox-reading", "a confined reader reads nothing but its input", _reading),
    Probe("sandbox-writing", "a confined reader writes nothing", _writing),
    Probe(
        "sandbox-processes",
        "a confined reader starts no process and no program, and makes no namespace",
        _processes,
    ),
    Probe(
        "sandbox-memory",
        "a confined reader's memory is bounded",
        _limit("sandbox-memory", "eat_memory", "reader-memory", _SECONDS, 192),
    ),
    Probe(
        "sandbox-time",
        "a confined reader's time is bounded",
        _limit("sandbox-time", "spin", "reader-timeout", 2, _MEMORY_MB),
    ),
)
