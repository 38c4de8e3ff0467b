"""The page on the text test does what it shows, on the models and the family that it names."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import yaml

from registry_gate.policy import load_policy, policies_folder
from tests.docs.console import run_page
from tests.examine.planted_text import write_planted

PAGE = Path(__file__).parents[2] / "docs" / "detection-text.md"


def test_every_example_of_the_page(tmp_path: Path) -> None:
    for name in ("planted", "clean"):
        write_planted(tmp_path / name, planted=name == "planted")
    (family,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "my-references.yaml").write_text(family, "utf-8")
    document = yaml.safe_load((policies_folder() / "default.yaml").read_text("utf-8"))
    policy = tmp_path / "my-policy.yaml"
    policy.write_text(yaml.safe_dump(document | {"text_references": "my-references.yaml"}), "utf-8")
    assert load_policy(policy).text_references is not None
    environment = {
        **os.environ,
        "REGISTRY_GATE_HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TERM": "dumb",
        "COLUMNS": "1000",
    }
    assert run_page(PAGE, tmp_path, environment) == 3
