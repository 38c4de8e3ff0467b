"""bounded-pattern: above the gap it rejects by default, in the grey zone a person looks."""

from __future__ import annotations

import pytest

from registry_gate.checks.bounded_pattern import CHECK
from registry_gate.decision import disposition
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.finding import Status
from registry_gate.policy import Disposition
from tests.checks.behaviour_evidence import policy, with_test

POLICY = policy(bounded_pattern_gap=0.4, bounded_pattern_gap_grey=0.25)


def _run(gap: float, limits=POLICY):
    measured = BehaviourMeasurement(
        test="bounded-pattern",
        version=1,
        status="measured",
        statistic=gap,
        score=0.5,
        suspected_target=3,
        per_class=(2.0, 1.25, 3.0),
    )
    return CHECK.run(with_test(measured), limits)


@pytest.mark.parametrize("gap", [0.0, 0.2499])
def test_small_gap_is_not_a_finding(gap: float) -> None:
    assert _run(gap).status is Status.NO_FINDINGS


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (0.25, Disposition.REVIEW),
        (0.3999, Disposition.REVIEW),
        (0.4, Disposition.REJECT),
        (5.0, Disposition.REJECT),
    ],
)
def test_grey_zone_is_reviewed_and_above_it_rejected(gap: float, expected: Disposition) -> None:
    (finding,) = _run(gap).findings
    assert disposition(finding, POLICY) is expected
    assert "class 3" in finding.message
    assert "1.25" in finding.message
    assert f"{gap:.3f}" in finding.message


def test_larger_gap_never_gets_a_milder_disposition() -> None:
    order = [Disposition.ALLOW, Disposition.REVIEW, Disposition.REJECT]
    steps = [_run(gap / 50) for gap in range(40)]
    ranks = [
        max((order.index(disposition(f, POLICY)) for f in result.findings), default=0) for result in steps
    ]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}


def test_grey_threshold_above_the_other_opens_no_gap_between_them() -> None:
    swapped = policy(bounded_pattern_gap=0.25, bounded_pattern_gap_grey=0.4)
    (finding,) = _run(0.3, swapped).findings
    assert disposition(finding, swapped) is Disposition.REJECT


def test_policy_without_the_grey_threshold_is_an_error() -> None:
    assert _run(0.3, policy(bounded_pattern_gap=0.4)).status is Status.ERROR
