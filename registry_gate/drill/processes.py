"""Programs of the drill, started for real: alone, guarded, in the sandbox; and who hears them call."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from registry_gate.drill.confined_victim import Attempt, Ending
from registry_gate.drill.world import World
from registry_gate.examine.sandbox import run_confined

_VICTIM = "registry_gate.drill.victim"
_SECONDS = 120


@dataclass(frozen=True)
class Ended:
    """How a program ended: its status, what it said, and the codes of what the guard refused."""

    status: int
    said: str
    refused: tuple[str, ...] = ()
    command: str = ""


def victim(world: World, *arguments: str, **variables: str) -> Ended:
    """Run one act of the victim with nothing in its way."""
    return _run(world, ["-m", _VICTIM, *arguments], variables)


def guarded_victim(world: World, *arguments: str, **variables: str) -> Ended:
    """Run one act of the victim under the guard, and read what the guard refused from its events."""
    with tempfile.TemporaryDirectory(dir=world.folder) as folder:
        events = Path(folder) / "events.jsonl"
        told = variables | {"REGISTRY_GATE_GUARD": "1", "REGISTRY_GATE_GUARD_EVENTS": str(events)}
        command = ["-m", "registry_gate.enforce.guarded", "-m", _VICTIM, *arguments]
        ended = _run(world, command, told)
        lines = events.read_text(encoding="ascii").splitlines() if events.exists() else []
    kept = [json.loads(line) for line in lines]
    codes = tuple(dict.fromkeys(str(event["code"]) for event in kept if event["refused"]))
    return Ended(ended.status, ended.said, codes, ended.command)


def client(world: World, *arguments: str, **variables: str) -> Ended:
    """Run ``registry-gate`` in a fresh process; ``refused`` holds the code of what it refused."""
    ended = _run(world, ["-m", "registry_gate", *arguments], variables)
    code = ended.said.partition(":")[0].strip() if ended.status else ""
    return Ended(ended.status, ended.said, (code,) if code else (), ended.command)


def confined_victim(world: World, port: int, message: bytes) -> tuple[Ending, str]:
    """Run the act in the sandbox that reads candidates, and say how it ended and which sandbox held."""
    wanted = Attempt(host="127.0.0.1", port=port, message=message.decode())
    said, report = run_confined(
        "registry_gate.drill.confined_victim",
        wanted.canonical(),
        inputs=(),
        seconds=30,
        memory_mb=512,
        accepted=world.policy.sandboxes,
    )
    return Ending.from_json(said), report.mode


def _run(world: World, arguments: list[str], variables: dict[str, str]) -> Ended:
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**world.environment, **variables},
        cwd=world.folder,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    return Ended(done.returncode, done.stderr, command=" ".join(["python", *arguments]))


@dataclass
class Listener:
    """Stands for the outside: a loopback port, and everything that was sent to it."""

    server: socket.socket
    heard: list[bytes] = field(default_factory=list)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server.getsockname()[1])

    def listen(self) -> None:
        """Take what comes until the socket is closed; every caller gets a harmless answer."""
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                self.heard.append(_all_of(connection))
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n# nothing: this is a drill\n")


def _all_of(connection: socket.socket) -> bytes:
    received = b""
    try:
        while (part := connection.recv(4096)) and len(received) < 65536:
            received += part
    except OSError:
        return received
    return received


@contextmanager
def listening() -> Iterator[Listener]:
    """A listener while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = Listener(server)
        thread = threading.Thread(target=listener.listen, daemon=True)
        thread.start()
        try:
            yield listener
        finally:
            server.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=10)
