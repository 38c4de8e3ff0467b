"""strip: a share of low-entropy inputs, reported with its power note and never as a clean bill."""

from __future__ import annotations

import pytest

from registry_gate.checks.strip import CHECK
from registry_gate.decision import disposition
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.finding import Status
from registry_gate.policy import Disposition
from tests.checks.behaviour_evidence import policy, with_test

POLICY = policy(strip_false_rejection_rate=0.01, strip_flagged_share=0.5)


def _run(share: float):
    measured = BehaviourMeasurement(
        test="strip",
        version=1,
        status="measured",
        statistic=share,
        score=share,
        suspected_target=2,
        details={"own_trigger_survives_overlay": 0.1},
        power_note="no power here",
    )
    return CHECK.run(with_test(measured), POLICY)


@pytest.mark.parametrize(("share", "found"), [(0.0, False), (0.49, False), (0.5, True), (1.0, True)])
def test_share_is_compared_with_the_policy(share: float, found: bool) -> None:
    assert _run(share).status is (Status.FINDINGS if found else Status.NO_FINDINGS)


def test_finding_alone_goes_to_a_person() -> None:
    (finding,) = _run(0.8).findings
    assert disposition(finding, POLICY) is Disposition.REVIEW
    assert "80%" in finding.message
    assert "class 2" in finding.message


def test_silence_carries_its_power_note() -> None:
    measurements = _run(0.0).measurements
    assert measurements["power_note"] == "no power here"
    assert measurements["own_trigger_survives_overlay"] == 0.1
    assert not any("clean" in str(value) for value in measurements.values())
