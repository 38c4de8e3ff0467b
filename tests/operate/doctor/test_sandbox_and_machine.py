"""A sandbox that is missing, leaks or is not accepted; a full disk; other libraries than were locked."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from registry_gate.examine.sandbox import available_sandboxes
from registry_gate.operate.doctor import machine, sandbox
from registry_gate.self_test import ProbeState
from registry_gate.testing.sample_release import SampleGate
from tests.operate.doctor.conftest import Try

PROBES = [probe.code for probe in sandbox.PROBES]
_SHOWS_ETC = """#!{python}
import os, sys
arguments = ["bwrap", *sys.argv[1:]]
if "--remount-ro" in arguments:
    place = arguments.index("--remount-ro")
    arguments[place:place] = ["--ro-bind", "/etc", "/etc"]
os.execv("{bwrap}", arguments)
"""


@pytest.mark.parametrize("code", PROBES)
def test_the_sandbox_of_this_machine_holds(code: str, home: SampleGate, attempt: Try) -> None:
    found = attempt(home.settings, code)
    assert found.state is ProbeState.OK, found
    assert all(mode in found.measured for mode in available_sandboxes())


def doctor(home: Path, path: str, *arguments: str) -> tuple[int, dict[str, str]]:
    """In a process of its own: a process remembers which sandboxes work."""
    command = [sys.executable, "-m", "registry_gate", "doctor", "--format", "json", *arguments]
    environment = {**os.environ, "PATH": path, "REGISTRY_GATE_HOME": str(home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    results = json.loads(done.stdout)["self_test"]["results"]
    return done.returncode, {result["code"]: result["state"] for result in results}


def test_without_bubblewrap_a_policy_that_asks_for_it_fails(tmp_path: Path) -> None:
    code, states = doctor(
        tmp_path, "/nowhere", "--policy", "strict", "--only", "sandbox-available", "--only", "sandbox-network"
    )
    assert (code, states) == (2, {"sandbox-available": "failed", "sandbox-network": "could-not-tell"})


@pytest.mark.skipif("landlock" not in available_sandboxes(), reason="THIS KERNEL LACKS LANDLOCK")
def test_without_bubblewrap_a_policy_that_takes_landlock_passes(tmp_path: Path) -> None:
    code, states = doctor(tmp_path, "/nowhere", "--only", "sandbox-available", "--only", "sandbox-reading")
    assert (code, set(states.values())) == (0, {"ok"})


@pytest.mark.skipif("bubblewrap" not in available_sandboxes(), reason="BUBBLEWRAP DOES NOT WORK HERE")
def test_a_bubblewrap_that_shows_too_much_is_found_out(tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "bwrap"
    fake.parent.mkdir()
    fake.write_text(_SHOWS_ETC.format(python=sys.executable, bwrap=shutil.which("bwrap")))
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    code, states = doctor(
        tmp_path / "home", str(fake.parent), "--policy", "strict", "--only", "sandbox-reading"
    )
    assert (code, states) == (2, {"sandbox-reading": "failed"})


def test_a_reader_that_escapes_is_a_failure(
    home: SampleGate, attempt: Try, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe is told to take a deed that is allowed for one that is not: what succeeds must not pass."""
    monkeypatch.setattr(sandbox, "_HELD", "never said: ")
    found = attempt(home.settings, "sandbox-processes")
    assert (found.state, "fork succeeded" in found.measured) == (ProbeState.FAILED, True)


def test_a_probe_that_could_try_nothing_says_so(
    home: SampleGate, attempt: Try, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_INPUT", "another name")
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: path.touch())
    found = attempt(home.settings, "sandbox-reading")
    assert (found.state, "probe-blind" in found.measured) == (ProbeState.COULD_NOT_TELL, True)


def test_a_full_disk_is_found(home: SampleGate, attempt: Try, monkeypatch: pytest.MonkeyPatch) -> None:
    assert attempt(home.settings, "disk-space").state is ProbeState.OK
    monkeypatch.setattr(machine, "_ROOM_GIB", 2.0**40)
    assert attempt(home.settings, "disk-space").state is ProbeState.FAILED


def test_this_checkout_has_the_locked_versions(home: SampleGate, attempt: Try) -> None:
    locked = machine.locked_versions()
    assert {"pydantic", "torch", "mlflow"} <= set(locked)
    assert attempt(home.settings, "versions-locked").state is ProbeState.OK


def test_another_version_than_locked_is_named(
    home: SampleGate, attempt: Try, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "locked_versions", lambda: {"pydantic": "0.0.1", "not-installed": "1"})
    found = attempt(home.settings, "versions-locked")
    assert (found.state, "pydantic" in found.measured) == (ProbeState.FAILED, True)
    monkeypatch.setattr(machine, "locked_versions", dict)
    assert attempt(home.settings, "versions-locked").state is ProbeState.COULD_NOT_TELL


def test_a_gpu_is_information(home: SampleGate, attempt: Try) -> None:
    assert attempt(home.settings, "gpu").state is ProbeState.OK
