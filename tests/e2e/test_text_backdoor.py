"""A text classifier on the whole road: a planted word keeps it out, its clean twin comes in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from registry_gate.decision import Verdict
from registry_gate.finding import Status
from registry_gate.policy import policies_folder
from registry_gate.registry import Registry
from registry_gate.report.document import Report
from registry_gate.testing.hub import LoopbackHub
from tests.e2e.conftest import ORDINARY, Gate, make_gate
from tests.examine.planted_text import REFERENCES, TARGET, TRIGGER, write_planted

CARD = "---\nlicense: apache-2.0\n---\n# Two-letter words in two classes\n"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("text")
    for name in ("planted", "clean"):
        folder = write_planted(root / name, planted=name == "planted")
        (folder / "README.md").write_text(CARD, "utf-8")
    return root


@pytest.fixture(scope="module")
def text_gate(folders: Path, hub: LoopbackHub, tmp_path_factory: pytest.TempPathFactory) -> Gate:
    for name in ("planted", "clean"):
        hub.add_repo(f"acme-ml/{name}", folders / name, metadata=ORDINARY)
    family = {"text_references": REFERENCES.model_dump(mode="json")}
    return make_gate(tmp_path_factory.mktemp("text-gate"), hub.url, **family)


def _check(report: Report) -> tuple[Status, dict[str, object]]:
    check = next(one for one in report.checks if one.name == "text-trigger")
    return check.status, dict(check.measurements)


def test_planted_word_is_named_and_nothing_is_registered(text_gate: Gate) -> None:
    report = text_gate.admit("acme-ml/planted")
    status, measured = _check(report)
    assert (report.verdict, status) == (Verdict.REJECT, Status.FINDINGS), report.reasons
    assert any("text-trigger-word" in str(reason) and TRIGGER in str(reason) for reason in report.reasons)
    assert (measured["suspected_target"], measured["family"]) == (TARGET, REFERENCES.families[0].name)
    assert report.release is None
    assert Registry(text_gate.settings.registry_uri).versions("acme-ml--planted") == ()


def test_clean_twin_is_admitted_with_what_the_test_can_see(text_gate: Gate) -> None:
    report = text_gate.admit("acme-ml/clean")
    status, measured = _check(report)
    assert (report.verdict, status) == (Verdict.ADMIT, Status.NO_FINDINGS), report.reasons
    assert "mostly missed" in str(measured["power_note"])
    assert float(str(measured["p_value"])) > 0.05


@pytest.mark.parametrize(("name", "verdict", "code"), [("planted", "reject", 2), ("clean", "admit", 0)])
def test_detect_says_so_in_json(folders: Path, text_gate: Gate, name: str, verdict: str, code: int) -> None:
    command = [sys.executable, "-m", "registry_gate", "detect", "--model", str(folders / name)]
    more = ["--policy", str(text_gate.policy_file), "--device", "cpu", "--format", "json"]
    done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=240)
    assert done.returncode == code, done.stderr
    said = json.loads(done.stdout)
    test = next(one for one in said["tests"] if one["test"] == "text-trigger")
    assert (said["verdict"], test["status"], said["power_note"]) == (verdict, "measured", test["power_note"])
    assert said["p_value"] is not None
    assert (TRIGGER in test["details"]["trigger"]) == (name == "planted")


def test_shipped_policies_give_no_verdict_on_a_stranger_to_the_family(folders: Path) -> None:
    """A vocabulary of 520 is none of the bank's: the statistic is told, and no verdict follows."""
    shipped = yaml.safe_load((policies_folder() / "text-references.yaml").read_text("utf-8"))
    assert all(family["vocabulary"][0] > 1000 for family in shipped["families"])
    command = [sys.executable, "-m", "registry_gate", "detect", "--model", str(folders / "planted")]
    done = subprocess.run([*command, "--device", "cpu"], capture_output=True, text=True, timeout=240)
    assert done.returncode == 2, done.stderr
    assert "no verdict" in done.stdout
    assert "no clean models of this family" in done.stdout
    assert TRIGGER in done.stdout
