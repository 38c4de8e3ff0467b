"""final-layer: a row mean far above the others' is a finding of low confidence."""

from __future__ import annotations

import pytest

from registry_gate.checks.final_layer import CHECK
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.finding import CheckResult, Confidence, Status
from tests.checks.behaviour_evidence import policy, with_test


def _run(deviations: float) -> CheckResult:
    measured = BehaviourMeasurement(
        test="final-layer", version=1, status="measured", statistic=deviations, suspected_target=4
    )
    return CHECK.run(with_test(measured), policy(final_layer_deviations=6.0))


@pytest.mark.parametrize(("deviations", "found"), [(5.9, 0), (6.0, 1), (40.0, 1)])
def test_row_is_judged_by_the_policys_limit(deviations: float, found: int) -> None:
    assert len(_run(deviations).findings) == found


def test_finding_names_the_class_and_claims_little() -> None:
    (finding,) = _run(9.0).findings
    assert "class 4" in finding.message
    assert finding.confidence is Confidence.LOW


def test_layer_that_was_not_measured_is_not_fine() -> None:
    absent = BehaviourMeasurement(
        test="final-layer", version=1, status="not_applicable", reason="no linear layer"
    )
    result = CHECK.run(with_test(absent), policy(final_layer_deviations=6.0))
    assert result.status is Status.NOT_APPLICABLE
