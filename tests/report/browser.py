"""Headless Chromium, as far as a test needs it: the rendered DOM, the console, and what was fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# no sandbox: containers rarely allow it, and the page is our own
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--enable-logging=stderr",
    "--virtual-time-budget=3000",
)


@dataclass(frozen=True)
class Seen:
    dom: str
    console: tuple[str, ...]


def chromium() -> str:
    """The browser; where there is none the test is skipped, but not in continuous integration."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        message = "no Chromium: scripts/install-system-packages.sh installs it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return str(found)


def opened(page: Path, profile: Path) -> Seen:
    command = [chromium(), *_ARGUMENTS, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr[-2000:]
    said = tuple(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return Seen(done.stdout, said)


@contextmanager
def canary() -> Iterator[tuple[str, list[str]]]:
    """A loopback address that a page may be led to, and the paths that were asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
