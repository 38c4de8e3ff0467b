"""Explanations: every reason traced, every change that is proposed really alters the verdict."""

from __future__ import annotations

from datetime import timedelta

import pytest

from registry_gate.checks import CHECKS, RULES
from registry_gate.decision import Verdict, decide
from registry_gate.evidence import Evidence
from registry_gate.explanation import Explanation, explain_decision, explain_rule
from registry_gate.finding import CheckResult, Confidence, Status
from registry_gate.policy import Disposition, Policy, RuleOverride, TaskRequirement, Waiver, load_policy
from tests.report.rich_evidence import CANDIDATE, NOW, evidence_of

# The default policy counts MM-BD in the fused score only; here it speaks for itself.
DEFAULT = load_policy("default").model_copy(update={"rules": {}})


def explained(evidence: Evidence, policy: Policy = DEFAULT) -> Explanation:
    return explain_decision(evidence, decide(evidence, policy, NOW), policy)


def without(*names: str) -> Evidence:
    """The evidence with these checks clean."""
    return evidence_of(
        results=tuple(
            CheckResult(name=item.name, version=1, status=Status.NO_FINDINGS) if item.name in names else item
            for item in evidence_of().results
        )
    )


def test_every_reason_is_traced_to_check_bar_and_numbers() -> None:
    found = explained(evidence_of())
    assert found.verdict is Verdict.REJECT
    by_code = {trace.code: trace for trace in found.traces}
    assert by_code["custom-code-file"].check == "custom-code"
    because = by_code["custom-code-file"].because
    assert because.startswith("severity high and confidence high meet the bar of reject: severity high")
    assert by_code["mm-bd-outlier"].limits == {"mm-bd-p-value": 0.05}


def test_the_smallest_change_takes_away_the_worst_reasons_and_the_next_takes_all() -> None:
    better = explained(evidence_of()).changes
    assert [change.verdict for change in better[:2]] == [Verdict.REVIEW, Verdict.ADMIT]
    assert better[0].what.startswith("without custom-code-file:")
    assert better[1].what.startswith("without custom-code-file and mm-bd-outlier:")


def test_a_check_that_did_not_look_is_to_look() -> None:
    evidence = without("custom-code", "mm-bd")
    blind = evidence.model_copy(
        update={"results": tuple(item for item in evidence.results if item.name != "weight-values")}
    )
    found = explained(blind)
    assert found.verdict is Verdict.REVIEW
    assert found.traces[0].check is None
    assert found.changes[0].verdict is Verdict.ADMIT
    assert found.changes[0].what == "with a result of weight-values: a required check has to look"


def test_an_override_of_the_policy_is_named_as_the_reason() -> None:
    override = RuleOverride(disposition=Disposition.REJECT, because="we were burnt")
    policy = DEFAULT.model_copy(update={"rules": {"mm-bd-outlier": override}})
    found = explained(without("custom-code"), policy)
    assert found.traces[0].because == "the policy says reject for this rule: we were burnt"


def test_a_waived_reason_is_shown_and_needs_no_change() -> None:
    waivers = tuple(
        Waiver(
            rule=rule,
            endpoint=CANDIDATE.endpoint,
            model=CANDIDATE.id,
            commit="a" * 40,
            owner="ann",
            reason="looked at by hand",
            expires=NOW + timedelta(days=1),
        )
        for rule in ("custom-code-file", "mm-bd-outlier")
    )
    found = explained(evidence_of(), DEFAULT.model_copy(update={"waivers": waivers}))
    assert found.verdict is Verdict.ADMIT
    assert all("ann until" in (trace.waived_by or "") for trace in found.traces)


def test_an_admission_is_told_what_it_hangs_on() -> None:
    found = explained(without("custom-code", "mm-bd"))
    assert found.verdict is Verdict.ADMIT
    assert found.traces == ()
    assert found.changes[-1].verdict is Verdict.REVIEW
    assert "required check had not looked" in found.changes[-1].what


def test_a_limit_moved_just_past_the_measurement_is_tried() -> None:
    others = tuple(check.name for check in CHECKS if check.name != "mm-bd")
    nothing = TaskRequirement(not_applicable_ok=True)
    policy = DEFAULT.model_copy(update={"required_checks": (), "tasks": {}, "other_tasks": nothing})
    evidence = without("custom-code").model_copy(update={"out_of_scope": others})
    found = explained(evidence, policy)
    assert found.verdict is Verdict.REVIEW
    moved = [change for change in found.changes if "mm-bd-p-value" in change.what]
    assert [change.verdict for change in moved] == [Verdict.ADMIT]
    assert "0.004" in moved[0].what
    assert "instead of 0.05" in moved[0].what


@pytest.mark.parametrize("rule_id", RULES)
def test_every_rule_can_be_explained(rule_id: str) -> None:
    found = explain_rule(rule_id, (DEFAULT,))
    assert found is not None
    assert found.rule.help
    assert set(found.treatments[0].by_confidence) == set(Confidence)


def test_no_two_checks_share_a_rule() -> None:
    assert sum(len(check.rules) for check in CHECKS) == len(RULES)
    assert explain_rule("no-such-rule", (DEFAULT,)) is None
