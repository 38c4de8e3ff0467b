"""Killed at any named step, the alias verifies or is not there, and the next run finishes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from registry_gate.publication import STEPS
from registry_gate.testing.hub import LoopbackHub
from tests.e2e.conftest import loopback_policy_file

BEFORE_THE_ALIAS = ("model-not-registered", "no-such-model", "not-registered", "missing-version")


@pytest.fixture(scope="module")
def outcomes(hub: LoopbackHub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    folder = tmp_path_factory.mktemp("killed")
    policy = loopback_policy_file(folder)
    command = [sys.executable, "-m", "tests.e2e.killed", str(folder), hub.url, str(policy), "acme-ml/tiny"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return {item["step"]: item for item in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("step", STEPS)
def test_killed_at(outcomes: dict[str, dict[str, object]], step: str) -> None:
    outcome = outcomes[step]
    assert outcome["first"] == "killed"
    if step == "alias-moved":
        assert str(outcome["load_after_kill"]).endswith("tensors")
    else:
        assert outcome["load_after_kill"] in BEFORE_THE_ALIAS
    assert str(outcome["second"]).startswith("admit version 1")
    assert str(outcome["load_after_second"]).endswith("tensors")
    assert outcome["versions"] == "1"
    assert outcome["leftovers"] == 0
