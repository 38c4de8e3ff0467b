"""SARIF: valid by the official schema and by another reader, with stable ids and fingerprints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sarif_pydantic import Sarif

from registry_gate.candidate import Candidate, SourceKind
from registry_gate.checks import RULES
from registry_gate.decision import Verdict
from registry_gate.finding import Confidence, Finding, Location, Severity
from registry_gate.report import sarif
from registry_gate.report.document import ReasonSection, Report
from tests.report.rich_evidence import evidence_of, report_of

_SCHEMA = json.loads(
    (Path(__file__).parents[1] / "assets/sarif/sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8")
)
_VALIDATOR = jsonschema.Draft4Validator(_SCHEMA, format_checker=jsonschema.FormatChecker())


def rendered(report: Report) -> dict[str, Any]:
    text = sarif.render(report, RULES)
    assert text.isascii()
    document = json.loads(text)
    _VALIDATOR.validate(document)
    Sarif.model_validate(document)
    (run,) = document["runs"]
    checked: dict[str, Any] = run
    return checked


def finding_of(message: str = "m", **where: object) -> Finding:
    return Finding(
        rule="custom-code-file",
        severity=Severity.HIGH,
        confidence=Confidence.HIGH,
        message=message,
        location=Location(**where),  # type: ignore[arg-type]
    )


def fingerprints(report: Report) -> list[str]:
    return [result["partialFingerprints"]["registryGate/v1"] for result in rendered(report)["results"]]


def test_every_finding_is_a_result_with_a_rule() -> None:
    report = report_of()
    run = rendered(report)
    assert [result["ruleId"] for result in run["results"]] == [finding.rule for finding in report.findings]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    levels = {result["ruleId"]: result["level"] for result in run["results"]}
    assert levels == {"custom-code-file": "error", "mm-bd-outlier": "warning"}
    assert rules[1]["help"]["text"] == RULES["mm-bd-outlier"].help
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 2}]
    assert run["properties"]["verdict"] == "reject"


def test_a_place_is_a_file_below_the_commit() -> None:
    run = rendered(report_of(findings=(finding_of(file="a b/ü.py", member="x", offset=12),)))
    assert run["originalUriBaseIds"]["SOURCE"]["uri"].endswith("/acme/tiny-vit/blob/" + "a" * 40 + "/")
    (location,) = run["results"][0]["locations"]
    assert location["physicalLocation"]["artifactLocation"] == {
        "uri": "a%20b/%C3%BC.py",
        "uriBaseId": "SOURCE",
    }
    assert location["physicalLocation"]["region"]["byteOffset"] == 12
    assert location["logicalLocations"] == [{"kind": "member", "name": "x"}]


def test_a_folder_has_no_base() -> None:
    folder = Candidate(kind=SourceKind.FOLDER, endpoint="", id="acme/tiny-vit")
    assert "originalUriBaseIds" not in rendered(report_of(evidence_of(candidate=folder)))


def test_a_fingerprint_outlives_message_and_commit() -> None:
    one = report_of(findings=(finding_of("17 bytes", file="a.py"),))
    moved = one.candidate.model_copy(update={"commit": "b" * 40})
    other = report_of(findings=(finding_of("18 bytes", file="a.py"),), candidate=moved)
    assert fingerprints(one) == fingerprints(other)


@pytest.mark.parametrize("where", [{"file": "b.py"}, {"file": "a.py", "member": "m"}, {}])
def test_another_place_has_another_fingerprint(where: dict[str, str]) -> None:
    first = report_of(findings=(finding_of(file="a.py"),))
    assert fingerprints(first)[0] != fingerprints(report_of(findings=(finding_of(**where),)))[0]


def test_two_alike_are_two() -> None:
    found = fingerprints(report_of(findings=(finding_of(file="a.py"), finding_of(file="a.py"))))
    assert len(set(found[:2])) == 2


def test_a_waived_finding_is_suppressed_with_its_reason() -> None:
    waived = ReasonSection(
        code="custom-code-file", verdict=Verdict.REJECT, message="m", waived_by="someone until then: reason"
    )
    run = rendered(report_of(findings=(finding_of(file="a.py"),), reasons=(waived,)))
    (result,) = run["results"]
    assert result["suppressions"] == [{"kind": "external", "justification": "someone until then: reason"}]


def test_a_check_that_did_not_look_is_a_result_too() -> None:
    absent = ReasonSection(
        code="required-check-did-not-look",
        verdict=Verdict.REVIEW,
        message="required check 'x' is missing",
        waived_by=None,
    )
    (result,) = rendered(report_of(findings=(), reasons=(absent,)))["results"]
    assert (result["ruleId"], result["level"]) == ("required-check-did-not-look", "warning")


def test_a_clean_report_has_no_results() -> None:
    run = rendered(report_of(findings=(), reasons=(), verdict=Verdict.ADMIT))
    assert run["results"] == []
    assert run["invocations"][0]["exitCode"] == 0


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=60), st.text(max_size=60))
def test_hostile_names_stay_valid(file: str, message: str) -> None:
    rendered(report_of(findings=(finding_of(message, file=file, tensor=file),)))
