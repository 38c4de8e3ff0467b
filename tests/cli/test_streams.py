"""Where results go and how a command ends: pipes, devices, closed streams and signals, for real."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from registry_gate.testing import hostile

COMMAND = [sys.executable, "-m", "registry_gate"]

# A shell's background job ignores SIGINT, and so would what it starts.
_INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from registry_gate.__main__ import main
main()
"""


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(hostile.torch_zip(hostile.pickle_that_would_run("true")))
    return path


def environment(home: Path, **more: str) -> dict[str, str]:
    return os.environ | {"REGISTRY_GATE_HOME": str(home)} | more


def scan(bad: Path, *more: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    command = [*COMMAND, "scan", str(bad), *more]
    return subprocess.run(
        command, env=environment(bad.parent / "home", **environ), capture_output=True, timeout=120
    )


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams_cost_nothing(closed: tuple[int, ...], tmp_path: Path) -> None:
    home = tmp_path / "home"

    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    made = subprocess.run(
        [*COMMAND, "keys", "init"], env=environment(home), preexec_fn=close, timeout=120, check=False
    )
    assert made.returncode == 0
    assert (home / "trust.json").read_text().startswith("{")


def test_an_ascii_locale_is_no_reason_to_fail(bad: Path) -> None:
    plain = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    assert scan(bad, **plain).returncode == 2
    structured = scan(bad, "--format", "json", **plain)
    assert structured.returncode == 2
    assert json.loads(structured.stdout)["verdict"] == "reject"


def test_a_full_disk_behind_standard_output_is_said(bad: Path) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [*COMMAND, "scan", str(bad)],
            env=environment(bad.parent / "home"),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=120,
        )
    assert result.returncode == 1
    assert result.stderr.startswith(b"cannot-write-output: standard output: ")


def test_a_pipe_given_as_output_is_written_to_and_stays(bad: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    assert scan(bad, "--output", str(pipe)).returncode == 2
    reader.join(timeout=30)
    assert pipe.is_fifo()
    assert read[0].startswith("REJECT")


def test_an_output_file_follows_no_link_laid_for_it(bad: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (tmp_path / ".report.txt.partial").symlink_to(victim)
    assert scan(bad, "--output", str(tmp_path / "report.txt")).returncode == 2
    assert (tmp_path / "report.txt").read_text().startswith("REJECT")
    assert not victim.exists()


@pytest.mark.parametrize("output", [".", "/nonexistent/report"])
def test_an_output_that_cannot_be_written_is_refused_before_any_work(
    output: str, bad: Path, tmp_path: Path
) -> None:
    result = scan(bad, "--output", output)
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.startswith(b"cannot-write-output: ")
    assert not (tmp_path / "home").exists()


def test_a_device_is_no_file_to_scan(tmp_path: Path) -> None:
    result = subprocess.run(
        [*COMMAND, "scan", "/dev/zero"], env=environment(tmp_path), capture_output=True, timeout=60
    )
    assert result.returncode == 1
    assert result.stderr.startswith(b"unreadable: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_end_it_leaves_no_workspace(number: signal.Signals, tmp_path: Path) -> None:
    """Held up at the lock of the first use, when its workspace is there already."""
    home = tmp_path / "home"
    home.mkdir()
    with (home / ".first-use.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        running = subprocess.Popen(
            [sys.executable, "-c", _INTERRUPTIBLE, "admit", "acme/tiny"],
            env=environment(home),
            stderr=subprocess.PIPE,
        )
        try:
            for _ in range(600):
                if list(home.glob("work/*+run-*")):
                    break
                time.sleep(0.05)
            running.send_signal(number)
            _, said = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 1
    assert said.startswith(b"interrupted: ")
    assert not list(home.glob("work/*+run-*"))
