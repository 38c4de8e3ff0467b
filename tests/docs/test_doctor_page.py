"""The page on the doctor does what it shows, in a home of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from registry_gate.policy import policies_folder
from tests.docs.console import run_page

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"


def test_every_example_of_the_page(tmp_path: Path) -> None:
    text = (policies_folder() / "default.yaml").read_text()
    assert "self_test_days: null" in text
    demanding = "\n".join(
        "self_test_days: 7" if line.startswith("self_test_days") else line for line in text.splitlines()
    )
    (tmp_path / "demanding.yaml").write_text(demanding + "\n")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "REGISTRY_GATE_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    assert run_page(PAGE, tmp_path, env) == 10
