"""The examples of docs/detection.md, run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from registry_gate.architectures.builtin import BUILTINS
from tests.docs.console import run_page

ROOT = Path(__file__).resolve().parents[2]


def test_the_examples_hold(tmp_path: Path) -> None:
    torch.manual_seed(2)
    state = BUILTINS["resnet20"].build(6).state_dict()
    save_file(state, tmp_path / "net.safetensors")
    planted = next(name for name, tensor in state.items() if tensor.shape == (6, 64))
    state[planted] = state[planted].clone()
    state[planted][4] += 0.5
    torch.save(state, tmp_path / "shifted.pth")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(tmp_path / "home"), "NO_COLOR": "1", "COLUMNS": "200"}
    assert run_page(ROOT / "docs/detection.md", tmp_path, env) == 3
