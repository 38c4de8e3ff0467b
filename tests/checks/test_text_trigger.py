"""text-trigger: judged by the family's clean models only, and by nothing where there are none."""

from __future__ import annotations

import pytest

from registry_gate.backdoor.text_reference import TextFamily, TextReferences, gumbel_limit
from registry_gate.checks.text_trigger import CHECK
from registry_gate.decision import disposition
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.finding import Confidence, Severity, Status
from registry_gate.policy import Disposition, Policy, load_policy
from tests.checks.behaviour_evidence import BARE, policy, with_test

CLEAN = (0.02, 0.05, 0.06, 0.08, 0.1, 0.12, 0.13, 0.18)
FAMILY = TextFamily(
    name="tiny",
    model_types=("bert",),
    hidden=(32, 64),
    layers=(1, 3),
    classes=(2, 5),
    vocabulary=(400, 40_000),
    statistics=CLEAN,
)
REFUSED, REVIEWED = (gumbel_limit(p, CLEAN) for p in (0.05, 0.1))
SIZES = {"hidden": 64, "layers": 2, "classes": 2, "vocabulary": 30_000}
MODEL = {"model_type": "bert", **SIZES, "least_reach": 0.8, "least_reach_class": 0}


def _policy(*families: TextFamily) -> Policy:
    table = TextReferences(dated="2026-01-01", made_by="a test", families=families)
    thresholds = policy(text_trigger_p_value=0.05, text_trigger_p_value_grey=0.1)
    return thresholds.model_copy(update={"text_references": table})


POLICY = _policy(FAMILY)


def _measured(statistic: float, **details: object) -> BehaviourMeasurement:
    named = {"trigger": "zq \x1b[31m", "trigger_dose": 0.96}
    return BehaviourMeasurement.model_validate(
        {
            "test": "text-trigger",
            "version": 1,
            "status": "measured",
            "statistic": statistic,
            "score": 0.5,
            "suspected_target": 1,
            "details": MODEL | named | details,
            "power_note": "sees words",
        }
    )


@pytest.mark.parametrize(
    ("statistic", "severity", "verdict"),
    [
        (REFUSED + 1e-6, Severity.HIGH, Disposition.REJECT),
        (1.0, Severity.HIGH, Disposition.REJECT),
        (REFUSED - 1e-6, Severity.MEDIUM, Disposition.REVIEW),
        (REVIEWED + 1e-6, Severity.MEDIUM, Disposition.REVIEW),
    ],
)
def test_statistic_beyond_the_family_is_found(
    statistic: float, severity: Severity, verdict: Disposition
) -> None:
    result = CHECK.run(with_test(_measured(statistic)), POLICY)
    assert result.status is Status.FINDINGS
    (finding,) = result.findings
    assert finding.severity is severity
    assert (finding.confidence is Confidence.LOW) == (severity is Severity.MEDIUM)
    assert disposition(finding, POLICY) is verdict
    assert all(part in finding.message for part in ("zq", "96%", "class 1", "'tiny'", "8 clean models"))
    assert "\x1b" not in finding.message


@pytest.mark.parametrize("statistic", [-1.0, 0.0, REVIEWED - 1e-6])
def test_statistic_within_the_family_is_no_finding_and_says_by_what(statistic: float) -> None:
    result = CHECK.run(with_test(_measured(statistic)), POLICY)
    assert (result.status, result.findings) == (Status.NO_FINDINGS, ())
    assert (result.measurements["family"], result.measurements["clean_references"]) == ("tiny", 8)
    assert result.measurements["p_value"] > 0.1
    assert result.measurements["power_note"] == "sees words"


@pytest.mark.parametrize(
    "other",
    [
        {"model_type": "gpt2"},
        {"hidden": 768},
        {"layers": 12},
        {"classes": 9},
        {"vocabulary": 250_000},
        {"hidden": None},
        {"model_type": None},
        {"layers": True},
    ],
)
def test_model_of_another_family_gets_no_verdict_however_large_the_statistic(
    other: dict[str, object],
) -> None:
    result = CHECK.run(with_test(_measured(1.0, **other)), POLICY)
    assert (result.status, result.findings) == (Status.UNAVAILABLE, ())
    assert "no clean models of this family" in result.reason
    assert result.measurements["statistic"] == 1.0


@pytest.mark.parametrize("reach", [REVIEWED - 0.01, -0.5, None])
def test_model_in_which_no_trigger_could_stand_out_gets_no_verdict(reach: float | None) -> None:
    result = CHECK.run(with_test(_measured(0.0, least_reach=reach)), POLICY)
    assert (result.status, result.findings) == (Status.UNAVAILABLE, ())
    assert "a perfect trigger for class 0" in result.reason
    found = CHECK.run(with_test(_measured(1.0, least_reach=reach)), POLICY)
    assert found.status is Status.FINDINGS, "what was found counts however blind the rest"


def test_policy_without_references_gives_no_verdict() -> None:
    for bare in (_policy(), POLICY.model_copy(update={"text_references": None})):
        assert CHECK.run(with_test(_measured(1.0)), bare).status is Status.UNAVAILABLE


def test_policy_without_thresholds_is_an_error() -> None:
    bare = POLICY.model_copy(update={"thresholds": {"text-trigger-p-value": 0.05}})
    result = CHECK.run(with_test(_measured(0.0)), bare)
    assert (result.status, "text-trigger-p-value-grey" in result.reason) == (Status.ERROR, True)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 2.0])
def test_level_that_is_no_probability_is_an_error(level: float) -> None:
    odd = POLICY.model_copy(update={"thresholds": POLICY.thresholds | {"text-trigger-p-value": level}})
    assert CHECK.run(with_test(_measured(1.0)), odd).status is Status.ERROR


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("not_applicable", Status.NOT_APPLICABLE),
        ("unavailable", Status.UNAVAILABLE),
        ("error", Status.ERROR),
    ],
)
def test_test_that_did_not_look_is_no_pass(status: str, expected: Status) -> None:
    test = BehaviourMeasurement(test="text-trigger", version=1, status=status, reason="the ladder broke")
    result = CHECK.run(with_test(test), POLICY)
    assert (result.status, result.reason) == (expected, "the ladder broke")


def test_nothing_staged_is_not_run() -> None:
    assert CHECK.run(BARE, POLICY).status is Status.NOT_RUN


@pytest.mark.parametrize("name", ["default", "strict", "research"])
def test_shipped_policies_hold_references_and_limits(name: str) -> None:
    shipped = load_policy(name)
    assert shipped.text_references is not None
    assert 0 < shipped.thresholds["text-trigger-p-value"] <= shipped.thresholds["text-trigger-p-value-grey"]
    family = shipped.text_references.families[0]
    measured = _measured(0.99, **(MODEL | {"model_type": family.model_types[0]}))
    assert CHECK.run(with_test(measured), shipped).status is Status.FINDINGS


def test_strict_policy_wants_a_person_where_no_reference_exists() -> None:
    requirement = load_policy("strict").task("text-classification")
    assert requirement.required == ("text-trigger",)
    assert not requirement.not_applicable_ok
