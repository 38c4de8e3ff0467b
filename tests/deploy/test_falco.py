"""The Falco rules: well-formed, and right about recorded events. Falco itself runs on no machine here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lark.exceptions import LarkError

from registry_gate.drill.falco import PRIORITIES, Rules, parser
from registry_gate.errors import ToolError
from tests.deploy.policy_engines import ROOT

FILE = ROOT / "deploy/falco/registry-gate.yaml"
EVENTS = Path(__file__).parent / "events"
RULES = Rules.read(FILE)


def events(name: str) -> list[Any]:
    return [json.loads(line) for line in (EVENTS / f"{name}.jsonl").read_text().splitlines()]


def test_the_file_is_well_formed() -> None:
    RULES.check()
    assert len(RULES.rules) >= 6


@pytest.mark.parametrize("case", events("alarming"), ids=lambda case: case["event"]["evt.type"])
def test_an_event_of_the_drill_raises_its_alarm(case: dict[str, Any]) -> None:
    assert RULES.alarms(case["event"]) == {case["rule"]}


@pytest.mark.parametrize("event", events("ordinary"), ids=lambda event: event["evt.type"])
def test_ordinary_events_raise_none(event: dict[str, Any]) -> None:
    assert RULES.alarms(event) == set()


def test_every_rule_has_an_event() -> None:
    assert {case["rule"] for case in events("alarming")} == set(RULES.rules)


@pytest.mark.parametrize(
    "text", ["", "and", "proc.name =", "proc.name in ()", "(serving", "not", "proc.name == x"]
)
def test_a_broken_condition_is_noticed(text: str) -> None:
    with pytest.raises(LarkError):
        parser().parse(text)


@pytest.mark.parametrize(
    "change",
    [
        ("macro: serving_namespace", "macro: serving_namespacee"),
        ("proc.name in (shells)", "proc.nam in (shells)"),
        ("priority: ERROR", "priority: BAD"),
        ("output: Shell", "outputs: Shell"),
        ("%fd.name", "%fd.nam"),
    ],
)
def test_a_slip_in_the_file_is_noticed(change: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(FILE.read_text().replace(*change, 1))
    with pytest.raises(ToolError):
        Rules.read(tmp_path / "rules.yaml").check()
    assert "ERROR" in PRIORITIES
