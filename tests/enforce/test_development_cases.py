"""The rules on the examples they were built on: every way found, every look-alike quiet."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_gate.enforce.audit.audit import Rulebook, audit
from registry_gate.enforce.audit.standing import Ledger
from registry_gate.policy import load_policy
from tests.enforce.development_cases import OTHER, PYTHON

RULEBOOK = Rulebook(Ledger(), load_policy("default").protected)


def rules_of(folder: Path) -> set[str]:
    return {finding.rule for finding in audit([folder], RULEBOOK).open}


@pytest.mark.parametrize(("text", "rules"), PYTHON)
def test_python(text: str, rules: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "case.py").write_text(text + "\n", encoding="utf-8")
    assert rules_of(tmp_path) == set(rules)


@pytest.mark.parametrize(("name", "text", "rules"), OTHER)
def test_other_kinds(name: str, text: str, rules: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert rules_of(tmp_path) == set(rules)
