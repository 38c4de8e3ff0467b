"""The examples of ``docs/reports.md``, in a folder that holds what the page names."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
import yaml
from safetensors.torch import save

from registry_gate.policy import load_policy, policies_folder
from registry_gate.testing import hostile
from tests.docs.console import run_page

PAGE = Path(__file__).parents[2] / "docs/reports.md"


def test_the_page_shows_what_the_commands_print(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.safetensors").write_bytes(save({"weight": torch.arange(6.0).reshape(2, 3)}))
    (tmp_path / "hostile.bin").write_bytes(hostile.torch_zip(hostile.pickle_that_would_run("true")))
    document = yaml.safe_load((policies_folder() / "default.yaml").read_text())
    required = [name for name in load_policy("default").required_checks if name != "model-structure"]
    (tmp_path / "policy.yaml").write_text(
        yaml.safe_dump(document | {"name": "example", "required_checks": required})
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(tmp_path), "REGISTRY_GATE_HOME": str(tmp_path / "home")}
    assert run_page(PAGE, tmp_path, env) == 8
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert json.loads((tmp_path / "hostile.sarif").read_text())["version"] == "2.1.0"
