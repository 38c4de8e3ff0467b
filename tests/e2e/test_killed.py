"""Killed at any named step, the alias points at something that verifies, and the next run finishes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from registry_gate.policy import load_policy
from registry_gate.publication import STEPS
from tests.e2e.conftest import loopback_policy_file


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """One process admits commit after commit of one model, each killed at another step and then run again.

    The model is weights without a configuration, so that the behaviour child has no library to import; the
    corridor is walked whole all the same.
    """
    folder = tmp_path_factory.mktemp("killed")
    required = [name for name in load_policy("default").required_checks if name != "model-structure"]
    policy = loopback_policy_file(folder, required_checks=required)
    command = [sys.executable, "-m", "tests.e2e.killed", str(folder), str(policy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return {item["step"]: item for item in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("step", STEPS)
def test_killed_at(outcomes: dict[str, dict[str, object]], step: str) -> None:
    outcome = outcomes[step]
    version = STEPS.index(step) + 2  # one version each for the first admission and every step before
    assert outcome["first"] == "killed"
    assert (
        outcome["loaded_after_kill"]
        == outcome["after" if step in ("alias-moved", "floor-raised") else "before"]
    )
    assert outcome["second"] == f"admit version {version}"
    assert outcome["loaded_after_second"] == outcome["after"]
    assert outcome["versions"] == str(version)
    assert outcome["leftovers"] == 0
