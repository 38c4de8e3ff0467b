"""A text classifier on the whole road: a planted word keeps it out, its clean twin comes in."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_gate.decision import Verdict
from registry_gate.finding import Status
from registry_gate.policy import load_policy
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


def test_shipped_references_are_of_another_family_than_this_one() -> None:
    shipped = load_policy("default").text_references
    assert shipped is not None
    assert not any(family.holds("bert", 32, 1, 2, 523) for family in shipped.families)
