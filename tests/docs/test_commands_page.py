"""The page of the commands that have no page of their own does what it shows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.docs.console import run_page

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_every_example_of_the_page(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "REGISTRY_GATE_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    assert run_page(PAGE, tmp_path, env) == 7
