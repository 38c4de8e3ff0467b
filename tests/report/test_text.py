"""Candidate text is shown, never obeyed."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from registry_gate.candidate import Candidate, Listing, SourceKind
from registry_gate.decision import decide
from registry_gate.evidence import Evidence
from registry_gate.finding import Confidence, Finding, Location, Severity, concluded
from registry_gate.policy import load_policy
from registry_gate.report import json_report, text
from registry_gate.report.document import Report, make_report
from registry_gate.report.escape import for_terminal

NOW = datetime(2026, 11, 20, tzinfo=UTC)
POLICY = load_policy("default")


def report_saying(message: str, file: str) -> Report:
    candidate = Candidate(kind=SourceKind.HUB, endpoint="https://hub.example", id="acme/model")
    finding = Finding(
        rule="rule-a",
        severity=Severity.HIGH,
        confidence=Confidence.HIGH,
        message=message,
        location=Location(file=file),
    )
    evidence = Evidence(
        gate_version="0",
        observed_at=NOW,
        candidate=candidate,
        registered_name="acme--model",
        listing=Listing(candidate=candidate, resolved_id=candidate.id, commit="a" * 40, files=()),
        results=(concluded("check-a", 1, [finding], {"number": 1.23456789}),),
    )
    return make_report(
        "scan", evidence, decide(evidence, POLICY, NOW), subject="acme/model", seconds={"list": 0.1}
    )


@given(st.text(max_size=200), st.text(max_size=50))
def test_no_control_character_of_a_candidate_reaches_the_terminal(message: str, file: str) -> None:
    for colour in (False, True):
        rendered = text.render(report_saying(f"{message}\x1b]0;owned\x07\x1b[31m", file), colour=colour)
        assert "\x07" not in rendered
        assert "\x1b]" not in rendered
        assert ("\x1b" in rendered) == colour
        assert "[bold]x[/bold]" in text.render(report_saying("[bold]x[/bold]", file))


@given(st.text(max_size=300))
def test_the_json_report_is_ascii_and_reads_back(message: str) -> None:
    report = report_saying(message, "f")
    rendered = json_report.render(report)
    assert rendered.isascii()
    assert json.loads(rendered)["findings"][0]["message"] == message
    assert Report.from_json(rendered) == report


def test_long_text_is_cut_and_hidden_characters_are_shown() -> None:
    assert for_terminal("a" * 5000).endswith("…")
    assert len(for_terminal("a" * 5000)) < 700
    assert for_terminal("pay\u202eload") == "pay\\u202eload"
    assert for_terminal("line\nbreak") == "line\\nbreak"


def test_the_verdict_and_the_reason_come_first() -> None:
    lines = text.render(report_saying("something bad", "weights.bin")).splitlines()
    assert lines[0].startswith("REJECT")
    assert "rule-a: something bad" in "\n".join(lines[:8])
