"""``registry-gate explain`` on stored records and rules, through the real command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry_gate import archive
from registry_gate import settings as settings_of
from registry_gate.cli.app import run
from registry_gate.policy import load_policy
from tests.report.rich_evidence import decision_of, evidence_of, report_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The record of decision number 12 in a home of the test's own."""
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(tmp_path))
    place = archive.folder_of(settings_of.load(), 12, "acme--tiny-vit")
    evidence = evidence_of()
    archive.file_away(place, evidence, decision_of(evidence), load_policy("default"))
    archive.file_report(place, report_of())
    return place


def test_a_decision_by_number_folder_or_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for what in ("12", str(folder), str(folder / "report.json")):
        assert run(["explain", what]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2]
    assert said[0].startswith("REJECT under policy default\n")
    assert "because    severity high and confidence high meet the bar of reject" in said[0]
    assert "admit   without custom-code-file" in said[0]
    assert "\x1b" not in said[0]


def test_the_same_for_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "12", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "reject"
    assert document["changes"][0]["verdict"] == "admit"


@pytest.mark.parametrize(("name", "data"), [("evidence.json", b"{}"), ("policy.json", None)])
def test_a_record_that_is_not_whole_explains_nothing(
    folder: Path, name: str, data: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / name).unlink() if data is None else (folder / name).write_bytes(data)
    assert run(["explain", "12"]) == 1
    assert "no-record" in capsys.readouterr().err


def test_an_edited_policy_is_not_the_one_decided_under(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "policy.json").write_bytes(load_policy("strict").canonical())
    assert run(["explain", "12"]) == 1
    assert "not of this evidence under this policy" in capsys.readouterr().err


def test_a_number_nobody_has(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "13"]) == 1
    assert "no-record" in capsys.readouterr().err


def test_a_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "namespace-reused"]) == 0
    said = capsys.readouterr().out
    assert "found by   first-seen, at stage metadata; severity high" in said
    assert "default    by confidence: low review, medium reject, high reject" in said
    assert run(["explain", "namespace-reusd"]) == 1
    assert "did you mean: namespace-reused" in capsys.readouterr().err
