"""The examples of docs/checkpoints.md, run."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import torch

from registry_gate.testing.hostile import pickle_that_would_run
from tests.docs.console import run_page

ROOT = Path(__file__).resolve().parents[2]


def test_the_examples_hold(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests/formats/kinds/model.keras", tmp_path)
    (tmp_path / "model.pkl").write_bytes(pickle_that_would_run("true"))
    torch.manual_seed(0)
    state = {"fc.weight": torch.randn(10, 64), "body.weight": torch.randn(64, 64)}
    torch.save(state, tmp_path / "pytorch_model.bin")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(tmp_path / "home"), "NO_COLOR": "1", "COLUMNS": "200"}
    assert run_page(ROOT / "docs/checkpoints.md", tmp_path, env) == 3
