"""backdoor-score: judged by the policy's own coefficients, silent nowhere, and the only vote that decides."""

from __future__ import annotations

import pytest

from registry_gate.backdoor.fusion import Fusion, Weights
from registry_gate.checks.backdoor_score import CHECK
from registry_gate.decision import disposition
from registry_gate.evidence import Behaviour, BehaviourMeasurement, Evidence, Structure
from registry_gate.finding import CheckResult, Confidence, Finding, Severity, Status
from registry_gate.policy import Disposition, Policy, load_policy
from tests.checks.behaviour_evidence import BARE, SANDBOX

_LIMITS = {
    "backdoor-score": 0.6,
    "backdoor-score-grey": 0.4,
    "backdoor-score-no-samples": 0.6,
    "backdoor-score-no-samples-grey": 0.4,
}


def _weights(test: str) -> Weights:
    return Weights(intercept=0.0, coefficients={test: 1.0}, scales={test: 1.0}, required=(test,), cap=9.0)


FUSION = Fusion(
    dated="",
    made_by="",
    with_samples=_weights("bounded-pattern"),
    without_samples=_weights("impression-pattern"),
)
POLICY = load_policy("default").model_copy(update={"behaviour_fusion": FUSION, "thresholds": _LIMITS})


def _evidence(test: str, logit: float, status: str = "measured") -> Evidence:
    """One test whose class 1 stands out by ``logit`` among three."""
    numbers = (1.0, 2.718281828459045**-logit, 1.0)
    measured = BehaviourMeasurement(
        test=test, version=1, status=status, reason="in words", statistic=1.0, per_class=numbers
    )
    behaviour = Behaviour(sandbox=SANDBOX, structure=Structure(status="measured"), tests=(measured,))
    return BARE.model_copy(update={"behaviour": behaviour})


def _run(test: str, logit: float, policy: Policy = POLICY) -> CheckResult:
    return CHECK.run(_evidence(test, logit), policy)


def _one(test: str, logit: float) -> Finding:
    (finding,) = _run(test, logit).findings
    return finding


@pytest.mark.parametrize(
    ("logit", "expected"),
    [(-0.1, Disposition.REVIEW), (0.3, Disposition.REVIEW), (0.41, Disposition.REJECT)],
)
def test_score_with_samples_is_reviewed_in_the_grey_and_rejected_above(
    logit: float, expected: Disposition
) -> None:
    finding = _one("bounded-pattern", max(logit, 1e-6))
    assert disposition(finding, POLICY) is expected
    assert "class" in finding.message


def test_score_below_the_grey_zone_is_no_finding_and_says_by_which_tests() -> None:
    weights = FUSION.with_samples.model_copy(update={"intercept": -3.0})
    fusion = FUSION.model_copy(update={"with_samples": weights})
    result = _run("bounded-pattern", 0.1, POLICY.model_copy(update={"behaviour_fusion": fusion}))
    assert result.status is Status.NO_FINDINGS
    assert result.measurements["tests"] == "bounded-pattern"
    assert "None found means: by these tests" in str(result.measurements["power_note"])


def test_score_without_samples_never_rejects_by_itself() -> None:
    finding = _one("impression-pattern", 5.0)
    assert (finding.severity, finding.confidence) == (Severity.MEDIUM, Confidence.MEDIUM)
    assert disposition(finding, POLICY) is Disposition.REVIEW


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("error", Status.ERROR),
        ("unavailable", Status.UNAVAILABLE),
        ("not_applicable", Status.NOT_APPLICABLE),
    ],
)
def test_score_that_cannot_be_made_says_how_it_came_to_that(status: str, expected: Status) -> None:
    result = CHECK.run(_evidence("bounded-pattern", 1.0, status), POLICY)
    assert result.status is expected
    assert result.reason


def test_nothing_counts_as_looked_at_without_behaviour_coefficients_or_limits() -> None:
    assert CHECK.run(BARE, POLICY).status is Status.NOT_RUN
    bare = POLICY.model_copy(update={"behaviour_fusion": None})
    assert _run("bounded-pattern", 1.0, bare).status is Status.UNAVAILABLE
    unlimited = POLICY.model_copy(update={"thresholds": {}})
    assert _run("bounded-pattern", 1.0, unlimited).status is Status.ERROR


@pytest.mark.parametrize("name", ["default", "strict", "research"])
def test_shipped_policies_decide_by_the_score_and_not_by_one_test(name: str) -> None:
    policy = load_policy(name)
    assert policy.behaviour_fusion is not None
    assert "backdoor-score" in policy.task("image-classification").required
    for rule in ("mm-bd-outlier", "bounded-pattern-shortcut", "final-layer-shifted-row"):
        assert policy.rules[rule].disposition is Disposition.ALLOW
    assert policy.thresholds["backdoor-score-grey"] < policy.thresholds["backdoor-score"]


def test_shipped_thresholds_are_those_of_the_calibration() -> None:
    import yaml

    from registry_gate.policy import policies_folder

    calibrated = yaml.safe_load((policies_folder() / "behaviour-calibration.yaml").read_text())
    for name in ("default", "strict", "research"):
        shipped = load_policy(name).thresholds
        assert {key: shipped[key] for key in calibrated["thresholds"]} == calibrated["thresholds"]
