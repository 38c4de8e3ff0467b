from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.docs.console import run_page

ROOT = Path(__file__).parents[2]


def test_the_examples_of_the_serving_page_are_what_is_printed(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = {
        **os.environ,
        "REGISTRY_GATE_HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    assert run_page(ROOT / "docs/serving.md", tmp_path, environment) == 5
