"""The examples of ``docs/index.md``, in a home of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.docs.console import run_page

PAGE = Path(__file__).parents[2] / "docs/index.md"


def test_the_page_shows_what_the_commands_print(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "REGISTRY_GATE_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    (tmp_path / "passphrase.txt").write_text("correct horse battery staple\n")
    assert run_page(PAGE, tmp_path, env) >= 18
