"""`make admit` runs, holds, and runs again; the image classifiers are left to `make admit` itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from examples.demo_gate import write_policy
from registry_gate.policy import load_policy


def test_the_demonstration_holds_twice_and_touches_nothing_of_the_users(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    command = [
        sys.executable,
        "-m",
        "examples.demo",
        "--without-behaviour",
        "--folder",
        str(tmp_path / "demo"),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_GATE")}
    for _ in range(2):
        done = subprocess.run(
            command, env=environment | {"HOME": str(home)}, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert "FAILED" not in done.stdout
        assert "one byte changed" in done.stdout
    assert not (home / ".registry-gate").exists()


def test_the_demonstrations_policy_differs_from_the_default_by_its_endpoint_only(tmp_path: Path) -> None:
    policy = load_policy(write_policy(tmp_path))
    default = load_policy("default")
    changed = {name for name, value in policy if value != getattr(default, name)}
    assert changed == {"name", "description", "endpoints"}
