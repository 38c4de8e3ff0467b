"""The page on loading does what it shows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from registry_gate.testing.sample_release import sample_gate
from tests.docs.console import run_page
from tests.tamper.mutation import FILES

PAGE = Path(__file__).parents[2] / "docs" / "loading.md"


def test_every_example_of_the_page(tmp_path: Path) -> None:
    gate = sample_gate(tmp_path / "home")
    commands = Path(sys.executable).parent
    environment = {
        **os.environ,
        "REGISTRY_GATE_HOME": str(gate.settings.home),
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "TERM": "dumb",
    }
    folder = tmp_path / "here"
    folder.mkdir()
    gate.release(tmp_path / "made", "acme/tiny", FILES).root.rename(folder / "release")
    assert run_page(PAGE, folder, environment) == 5
