"""model-structure: differences of names and shapes become findings, and nothing looked at is never fine."""

from __future__ import annotations

import pytest

from registry_gate.checks.model_structure import CHECK
from registry_gate.evidence import Structure
from registry_gate.finding import Severity, Status
from tests.checks.behaviour_evidence import BARE, policy, with_structure

POLICY = policy()


def _run(**fields: object):
    return CHECK.run(
        with_structure(Structure(status="measured", library_class="BertModel", **fields)), POLICY
    )


def test_exact_match_has_no_findings_and_says_what_was_compared() -> None:
    result = _run(task="feature-extraction")
    assert result.status is Status.NO_FINDINGS
    assert result.measurements["library_class"] == "BertModel"


@pytest.mark.parametrize(
    ("field", "rule", "severity"),
    [
        ("missing", "tensors-missing", Severity.MEDIUM),
        ("unexpected", "tensors-unexpected", Severity.MEDIUM),
        ("mismatched", "tensors-mismatched", Severity.HIGH),
    ],
)
def test_each_difference_is_its_own_rule(field: str, rule: str, severity: Severity) -> None:
    result = _run(**{field: ("a.weight", "b.weight")})
    assert [(f.rule, f.severity) for f in result.findings] == [(rule, severity)]
    assert "a.weight" in result.findings[0].message
    assert result.measurements[field] == 2


def test_hostile_tensor_names_are_escaped_and_short() -> None:
    result = _run(unexpected=("\x1b[2J" + "x" * 5000, "b", "c", "d"))
    message = result.findings[0].message
    assert "\x1b" not in message
    assert len(message) < 400
    assert "and 1 more" in message


@pytest.mark.parametrize(
    ("status", "expected"),
    [("not_applicable", Status.NOT_APPLICABLE), ("error", Status.ERROR), ("nonsense", Status.ERROR)],
)
def test_unmeasured_structure_keeps_its_status_and_reason(status: str, expected: Status) -> None:
    result = CHECK.run(with_structure(Structure(status=status, reason="because")), POLICY)
    assert (result.status, result.reason) == (expected, "because")


def test_not_run_without_an_examination() -> None:
    assert CHECK.run(BARE, POLICY).status is Status.NOT_RUN
