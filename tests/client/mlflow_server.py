"""A real tracking server with basic authentication, which passes its artifacts on itself."""

from __future__ import annotations

import base64
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from werkzeug.security import generate_password_hash

ADMIN = ("admin", "correct horse battery staple")
BOB = ("bob", "only reads, never writes")


@dataclass(frozen=True)
class Server:
    """Where it listens, and the folder in which it keeps artifacts."""

    uri: str
    artifacts: Path

    def ask(self, user: tuple[str, str], method: str, path: str, body: object = None) -> int:
        """The status with which the server answers a user."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.uri}{path}", data=data, method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(user).encode()).decode())
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """Start it, make the user bob, who may read, and stop it afterwards."""
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    (folder / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/auth.db\n"
        f"admin_username = {ADMIN[0]}\nadmin_password = {ADMIN[1]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n",
        encoding="ascii",
    )
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "for this test only",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--serve-artifacts"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for(f"{uri}/health", running, folder / "log")
        server = Server(uri, folder / "artifacts")
        made = {"username": BOB[0], "password": BOB[1]}
        assert server.ask(ADMIN, "POST", "/api/2.0/mlflow/users/create", made) == 200
        _hash_cheaply(folder / "auth.db")
        yield server
    finally:
        os.killpg(running.pid, 15)
        running.wait(30)


def _hash_cheaply(database: Path) -> None:
    """The server hashes a password at each request, on purpose slowly; here one round has to do."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for user, password in (ADMIN, BOB):
            cheap = generate_password_hash(password, "pbkdf2:sha256:1")
            changed = connection.execute(
                "UPDATE users SET password_hash = ? WHERE username = ?", (cheap, user)
            )
            assert changed.rowcount == 1


def _wait_for(url: str, running: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(900):
        assert running.poll() is None, log.read_text(errors="replace")[-3000:]
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server did not start")
