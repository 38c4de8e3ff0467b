"""decide() is pure and monotone: more findings never give a better verdict."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.candidate import Candidate, Listing, SourceKind
from registry_gate.decision import Verdict, decide, disposition
from registry_gate.evidence import Evidence
from registry_gate.finding import CheckResult, Confidence, Finding, Severity, Status, concluded
from registry_gate.policy import Bar, Disposition, Policy, RuleOverride, Waiver, load_policy

NOW = datetime(2026, 11, 20, tzinfo=UTC)
POLICY = load_policy("default")
RANK = list(Verdict).index
CANDIDATE = Candidate(kind=SourceKind.HUB, endpoint="https://hub.example", id="acme/model")
COMMIT = "a" * 40

findings = st.builds(
    Finding,
    rule=st.sampled_from(["rule-a", "rule-b", "rule-c"]),
    severity=st.sampled_from(Severity),
    confidence=st.sampled_from(Confidence),
    message=st.text(max_size=20),
)


def evidence(results: list[CheckResult], **more: object) -> Evidence:
    listing = Listing(candidate=CANDIDATE, resolved_id=CANDIDATE.id, commit=COMMIT, files=())
    return Evidence(
        gate_version="0",
        observed_at=NOW,
        candidate=CANDIDATE,
        registered_name="acme--model",
        listing=listing,
        results=tuple(results),
    ).model_copy(update=more)


def all_required(*extra: Finding) -> list[CheckResult]:
    return [concluded(name, 1, []) for name in POLICY.required_checks] + [concluded("other", 1, list(extra))]


def finding(severity: Severity, confidence: Confidence, rule: str = "rule-a") -> Finding:
    return Finding(rule=rule, severity=severity, confidence=confidence, message="m")


def test_nothing_found_and_everything_required_looked_admits() -> None:
    decision = decide(evidence(all_required()), POLICY, NOW)
    assert decision.verdict is Verdict.ADMIT
    assert decision.reasons == ()
    assert decision.policy_digest == POLICY.digest()


@pytest.mark.parametrize("name", POLICY.required_checks)
@pytest.mark.parametrize("status", [s for s in Status if s not in (Status.NO_FINDINGS, Status.FINDINGS)])
def test_a_required_check_that_did_not_look_never_admits(name: str, status: Status) -> None:
    results = [r for r in all_required() if r.name != name]
    absent = decide(evidence(results), POLICY, NOW)
    blind = decide(evidence([*results, CheckResult(name=name, version=1, status=status)]), POLICY, NOW)
    assert absent.verdict is Verdict.REVIEW
    assert blind.verdict is Verdict.REVIEW
    assert name in blind.reasons[0].message


@pytest.mark.parametrize(
    ("severity", "confidence", "verdict"),
    [
        (Severity.CRITICAL, Confidence.HIGH, Verdict.REJECT),
        (Severity.HIGH, Confidence.MEDIUM, Verdict.REJECT),
        (Severity.HIGH, Confidence.LOW, Verdict.REVIEW),
        (Severity.MEDIUM, Confidence.LOW, Verdict.REVIEW),
        (Severity.LOW, Confidence.HIGH, Verdict.ADMIT),
        (Severity.INFO, Confidence.HIGH, Verdict.ADMIT),
    ],
)
def test_bars_of_the_default_policy(severity: Severity, confidence: Confidence, verdict: Verdict) -> None:
    assert decide(evidence(all_required(finding(severity, confidence))), POLICY, NOW).verdict is verdict


@given(st.lists(findings, max_size=5), findings)
def test_adding_a_finding_never_improves_the_verdict(some: list[Finding], one: Finding) -> None:
    before = decide(evidence(all_required(*some)), POLICY, NOW)
    after = decide(evidence(all_required(*some, one)), POLICY, NOW)
    assert RANK(after.verdict) >= RANK(before.verdict)


@given(findings, st.sampled_from(Severity), st.sampled_from(Confidence))
def test_a_stricter_bar_never_allows_more(one: Finding, severity: Severity, confidence: Confidence) -> None:
    order = list(Disposition).index
    looser = POLICY.model_copy(update={"reject": Bar(severity=severity, confidence=confidence)})
    stricter = POLICY.model_copy(update={"reject": Bar(severity=Severity.INFO, confidence=Confidence.LOW)})
    assert order(disposition(one, stricter)) >= order(disposition(one, looser))


def test_a_rule_override_replaces_the_bars() -> None:
    override = RuleOverride(disposition=Disposition.REJECT)
    policy = POLICY.model_copy(update={"rules": {"rule-a": override}})
    low = finding(Severity.LOW, Confidence.LOW)
    assert decide(evidence(all_required(low)), policy, NOW).verdict is Verdict.REJECT


def waived_policy(**changes: object) -> Policy:
    waiver = Waiver(
        rule="rule-a",
        endpoint=CANDIDATE.endpoint,
        model=CANDIDATE.id,
        commit=COMMIT,
        owner="kim@acme.example",
        reason="accepted for the pilot",
        expires=NOW + timedelta(days=1),
    )
    return POLICY.model_copy(update={"waivers": (waiver.model_copy(update=changes),)})


def test_a_waiver_admits_and_stays_visible() -> None:
    decision = decide(evidence(all_required(finding(Severity.HIGH, Confidence.HIGH))), waived_policy(), NOW)
    assert decision.verdict is Verdict.ADMIT
    assert "kim@acme.example" in (decision.reasons[0].waived_by or "")


@pytest.mark.parametrize(
    "changes",
    [
        {"rule": "rule-b"},
        {"commit": "b" * 40},
        {"model": "acme/other"},
        {"endpoint": "https://other.example"},
        {"expires": NOW},
    ],
)
def test_a_waiver_for_anything_else_does_not_count(changes: dict[str, object]) -> None:
    found = evidence(all_required(finding(Severity.HIGH, Confidence.HIGH)))
    assert decide(found, waived_policy(**changes), NOW).verdict is Verdict.REJECT


def test_out_of_scope_checks_are_not_asked_for() -> None:
    results = [r for r in all_required() if r.name != "convertible"]
    assert decide(evidence(results, out_of_scope=("convertible",)), POLICY, NOW).verdict is Verdict.ADMIT
    assert decide(evidence(results), POLICY, NOW).verdict is Verdict.REVIEW
