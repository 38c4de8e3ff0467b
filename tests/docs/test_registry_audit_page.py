"""The examples of ``docs/registry-audit.md``, against a registry that others have had their hands on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from registry_gate.registry import Registry
from registry_gate.testing.sample_release import sample_gate
from tests.docs.console import run_page
from tests.docs.registry import lived_in

PAGE = Path(__file__).parents[2] / "docs/registry-audit.md"
CODE = """\
from registry_gate import load_verified
from transformers import AutoModel

load_verified("acme/poisoned")
AutoModel.from_pretrained("acme/tiny", revision="aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
"""


def test_the_page_shows_what_the_commands_print(tmp_path: Path) -> None:
    template = sample_gate(tmp_path / "template")
    Registry(template.settings.registry_uri).names()
    house = lived_in(tmp_path, template.settings.home / "registry")
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "serve.py").write_text(CODE)
    environment = {
        **os.environ,
        "REGISTRY_GATE_HOME": str(house.gate.settings.home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    assert run_page(PAGE, folder, environment) == 4
