"""``registry-gate triage`` on the real command line, with the real confined readers."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from registry_gate.testing import hostile


def run(*arguments, home):
    command = [sys.executable, "-m", "registry_gate", "triage", *map(str, arguments)]
    environment = os.environ | {"REGISTRY_GATE_HOME": str(home)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=home)


@pytest.fixture
def weights():
    torch.manual_seed(0)
    return {f"layers.{n}.weight": torch.randn(64, 64) * 0.02 for n in range(3)}


def test_a_fingerprint_is_written_and_changes_are_told_from_noise(tmp_path, weights):
    torch.save(weights, tmp_path / "checkpoint.pt")
    first = run(tmp_path / "checkpoint.pt", "--write-fingerprint", tmp_path / "print.json", home=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "3 tensors" in first.stdout
    (tmp_path / "tuned").mkdir()
    tuned = {name: item + 2e-5 * torch.randn(64, 64) for name, item in weights.items()}
    save_file(tuned, tmp_path / "tuned/model.safetensors")
    again = run(tmp_path / "tuned", "--reference", tmp_path / "print.json", home=tmp_path)
    assert again.returncode == 0, again.stdout
    assert "no change beyond the noise" in again.stdout
    tuned["layers.1.weight"] = weights["layers.1.weight"].t().contiguous()
    save_file(tuned, tmp_path / "tuned/model.safetensors")
    edited = run(
        *(tmp_path / "tuned", "--reference", tmp_path / "print.json", "--format", "json"), home=tmp_path
    )
    assert edited.returncode == 2
    report = json.loads(edited.stdout)
    assert {item["tensor"] for item in report["drift"]} == {"layers.1.weight"}
    assert not report["clean"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "checkpoint.pt",
        "print.json",
    ]


def test_what_is_wrong_is_2(tmp_path, weights):
    weights["layers.0.weight"][3, 4] = float("nan")
    torch.save({"model": weights, "optimizer": {"lr": 0.1}}, tmp_path / "nested.pt")
    nested = run(tmp_path / "nested.pt", home=tmp_path)
    assert nested.returncode == 2
    assert "non-finite-weights" in nested.stdout
    samples = hostile.write_samples(tmp_path / "hostile", "true")
    evil = run(tmp_path / "hostile" / samples[0].path, home=tmp_path)
    assert evil.returncode == 2, (evil.stdout, evil.stderr)
    (tmp_path / "empty").mkdir()
    empty = run(tmp_path / "empty", home=tmp_path)
    assert empty.returncode == 2
    assert "no tensor was measured" in empty.stdout
    (tmp_path / "garbage.pt").write_bytes(os.urandom(1000))
    assert run(tmp_path / "garbage.pt", home=tmp_path).returncode == 2


def test_usage_errors_are_1(tmp_path, weights):
    absent = run(tmp_path / "absent.pt", home=tmp_path)
    assert absent.returncode == 1
    assert "unreadable" in absent.stderr
    torch.save(weights, tmp_path / "checkpoint.pt")
    (tmp_path / "print.json").write_text("{}")
    bad = run(tmp_path / "checkpoint.pt", "--reference", tmp_path / "print.json", home=tmp_path)
    assert bad.returncode == 1
    assert "bad-fingerprint" in bad.stderr
