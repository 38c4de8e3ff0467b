"""mm-bd: the p-value against the policy's, and every status that did not look."""

from __future__ import annotations

import pytest

from registry_gate.checks.mm_bd import CHECK
from registry_gate.decision import disposition
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.finding import Confidence, Severity, Status
from registry_gate.policy import Disposition
from tests.checks.behaviour_evidence import BARE, policy, with_test

POLICY = policy(mm_bd_p_value=0.05)


def _measured(p_value: float | None) -> BehaviourMeasurement:
    return BehaviourMeasurement(
        test="mm-bd",
        version=1,
        status="measured",
        statistic=64.7,
        p_value=p_value,
        score=0.9,
        suspected_target=4,
        per_class=(1.0,) * 10,
        details={"profile": "fast"},
        seed=7,
        power_note="sees little",
    )


@pytest.mark.parametrize(("p_value", "found"), [(0.001, True), (0.05, True), (0.0501, False), (1.0, False)])
def test_p_value_is_compared_with_the_policy(p_value: float, found: bool) -> None:
    result = CHECK.run(with_test(_measured(p_value)), POLICY)
    assert result.status is (Status.FINDINGS if found else Status.NO_FINDINGS)


def test_finding_goes_to_a_person_and_names_statistic_p_and_target() -> None:
    (finding,) = CHECK.run(with_test(_measured(0.001)), POLICY).findings
    assert (finding.severity, finding.confidence) == (Severity.MEDIUM, Confidence.MEDIUM)
    assert disposition(finding, POLICY) is Disposition.REVIEW
    assert all(part in finding.message for part in ("class 4", "64.7", "0.001", "0.05"))
    assert finding.score == 0.9


def test_missing_p_value_is_never_a_pass() -> None:
    assert CHECK.run(with_test(_measured(None)), POLICY).status is Status.FINDINGS


def test_measurements_carry_what_is_needed_to_judge_again() -> None:
    measurements = CHECK.run(with_test(_measured(0.9)), POLICY).measurements
    assert measurements["power_note"] == "sees little"
    assert measurements["mm-bd-p-value"] == 0.05
    assert (measurements["profile"], measurements["seed"]) == ("fast", 7)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("not_applicable", Status.NOT_APPLICABLE),
        ("unavailable", Status.UNAVAILABLE),
        ("error", Status.ERROR),
        ("surprise", Status.ERROR),
    ],
)
def test_a_test_that_did_not_measure_keeps_status_and_reason(status: str, expected: Status) -> None:
    unmeasured = BehaviourMeasurement(test="mm-bd", version=1, status=status, reason="in words")
    result = CHECK.run(with_test(unmeasured), POLICY)
    assert (result.status, result.reason) == (expected, "in words")


def test_measured_without_a_statistic_is_an_error() -> None:
    empty = BehaviourMeasurement(test="mm-bd", version=1, status="measured")
    assert CHECK.run(with_test(empty), POLICY).status is Status.ERROR


def test_policy_without_the_threshold_is_an_error() -> None:
    result = CHECK.run(with_test(_measured(0.9)), policy())
    assert result.status is Status.ERROR
    assert "mm-bd-p-value" in result.reason


def test_examination_without_the_test_is_an_error_and_no_examination_is_not_run() -> None:
    other = _measured(0.5).model_copy(update={"test": "strip"})
    assert CHECK.run(with_test(other), POLICY).status is Status.ERROR
    assert CHECK.run(BARE, POLICY).status is Status.NOT_RUN
