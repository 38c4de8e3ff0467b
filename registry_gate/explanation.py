"""Why a decision came out as it did, and the smallest change that would have made it another. Pure.

A verdict is the worst of its reasons, so the smallest change for the better takes away every reason of the
worst kind, and nothing less does. Whatever is proposed here was tried: the decision was taken again with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from registry_gate.checks import CHECKS
from registry_gate.decision import Decision, Reason, Verdict, decide, disposition
from registry_gate.evidence import Evidence
from registry_gate.finding import CheckResult, Confidence, Finding, Rule, Scalar
from registry_gate.policy import Bar, Disposition, Policy, RuleOverride, Waiver
from registry_gate.record import Record
from registry_gate.rejudgement import judge_again
from registry_gate.self_test import FAILED, MISSING, STALE

_UNFOUND = "the policy requires this check to look; whatever it would have found is not known"
_UNFIT = "the policy demands that `registry-gate doctor` passed on the machine that examines"


class Trace(Record):
    """One reason, back to what it rests on: the rule, the evidence, the limit that was met."""

    code: str
    verdict: Verdict
    message: str
    check: str | None
    because: str
    measured: dict[str, Scalar] = {}
    limits: dict[str, float] = {}
    waived_by: str | None = None


class Change(Record):
    """One change that was tried: what it is, and the verdict with it."""

    what: str
    verdict: Verdict


class Explanation(Record):
    """A decision, its traces, and the changes that alter it, smallest first."""

    verdict: Verdict
    policy: str
    traces: tuple[Trace, ...]
    changes: tuple[Change, ...]
    today: Verdict


class Treatment(Record):
    """What one policy makes of a rule's finding at its own severity, by confidence; or an override of it."""

    policy: str
    override: Disposition | None
    because: str
    by_confidence: dict[Confidence, Disposition]


class RuleExplanation(Record):
    """A rule: what it means, who finds it and when, and what policies make of it."""

    rule: Rule
    check: str
    stage: str
    treatments: tuple[Treatment, ...]


def explain_rule(rule_id: str, policies: tuple[Policy, ...]) -> RuleExplanation | None:
    """What a rule means and how policies treat it; None for an id that no check has."""
    for check in CHECKS:
        for rule in check.rules:
            if rule.id == rule_id:
                treatments = tuple(_treatment(rule, policy) for policy in policies)
                return RuleExplanation(
                    rule=rule, check=check.name, stage=check.stage.value, treatments=treatments
                )
    return None


def explain_decision(evidence: Evidence, decision: Decision, policy: Policy) -> Explanation:
    """Trace every reason, and try what would alter the verdict.

    Args:
        evidence: the stored record.
        decision: what was decided on it.
        policy: the one it was decided under.
    """
    again = decide(judge_again(evidence, policy), policy, decision.decided_at)
    return Explanation(
        verdict=decision.verdict,
        policy=policy.name,
        traces=tuple(_trace(reason, evidence, policy) for reason in decision.reasons),
        changes=(*_for_the_better(evidence, decision, policy), *_by_threshold(evidence, decision, policy)),
        today=again.verdict,
    )


def _treatment(rule: Rule, policy: Policy) -> Treatment:
    override = policy.rules.get(rule.id)
    levels = {
        confidence: disposition(
            Finding(rule=rule.id, severity=rule.severity, confidence=confidence, message=""), policy
        )
        for confidence in Confidence
    }
    return Treatment(
        policy=policy.name,
        override=override.disposition if override else None,
        because=override.because if override else "",
        by_confidence=levels,
    )


def _trace(reason: Reason, evidence: Evidence, policy: Policy) -> Trace:
    found = next(
        (
            (result, finding)
            for result in evidence.results
            for finding in result.findings
            if (finding.rule, finding.message) == (reason.code, reason.message)
        ),
        None,
    )
    if found is None:
        because = _UNFOUND if reason.code not in (MISSING, STALE, FAILED) else _UNFIT
        return Trace(
            code=reason.code, verdict=reason.verdict, message=reason.message, check=None, because=because
        )
    result, finding = found
    return Trace(
        code=reason.code,
        verdict=reason.verdict,
        message=reason.message,
        check=result.name,
        because=_because(finding, policy),
        measured=_numbers(result, policy),
        limits={name: policy.thresholds[name] for name in _limits_of(result, policy)},
        waived_by=reason.waived_by,
    )


def _because(finding: Finding, policy: Policy) -> str:
    """The bar that was met, in words."""
    override = policy.rules.get(finding.rule)
    if override is not None:
        words = f": {override.because}" if override.because else ""
        return f"the policy says {override.disposition.value} for this rule{words}"
    wanted = disposition(finding, policy)
    bar = policy.reject if wanted is Disposition.REJECT else policy.review
    return (
        f"severity {finding.severity.value} and confidence {finding.confidence.value} meet the bar of "
        f"{wanted.value}: {_bar(bar)}"
    )


def _bar(bar: Bar) -> str:
    return f"severity {bar.severity.value} and confidence {bar.confidence.value} or more"


def _limits_of(result: CheckResult, policy: Policy) -> list[str]:
    return [name for name in result.measurements if name in policy.thresholds]


def _numbers(result: CheckResult, policy: Policy) -> dict[str, Scalar]:
    """What the check measured, without the policy's own limits."""
    limits = _limits_of(result, policy)
    return {
        name: value
        for name, value in result.measurements.items()
        if name not in limits and isinstance(value, int | float) and not isinstance(value, bool)
    }


def _for_the_better(evidence: Evidence, decision: Decision, policy: Policy) -> Iterator[Change]:
    """Take away every reason of the worst kind; then, if that is not enough, every reason there is."""
    standing = [reason for reason in decision.reasons if not reason.waived_by]
    for least in (Verdict.REJECT, Verdict.REVIEW):
        chosen = [reason for reason in standing if _rank(reason.verdict) >= _rank(least)]
        if not chosen or decision.verdict is Verdict.ADMIT or _rank(least) > _rank(decision.verdict):
            continue
        codes = tuple(dict.fromkeys(reason.code for reason in chosen))
        verdict = _without(codes, chosen, evidence, decision, policy)
        if verdict is not decision.verdict:
            yield Change(what=_in_words(codes, chosen, evidence), verdict=verdict)
    if decision.verdict is Verdict.ADMIT:
        yield from _for_the_worse(evidence, decision, policy)


def _rank(verdict: Verdict) -> int:
    return list(Verdict).index(verdict)


def _without(
    codes: tuple[str, ...],
    chosen: list[Reason],
    evidence: Evidence,
    decision: Decision,
    policy: Policy,
) -> Verdict:
    """The verdict with waivers for these rules, and with these required checks not required."""
    until = decision.decided_at + timedelta(days=1)
    waivers = tuple(_waiver(code, evidence, until) for code in codes)
    absent = {_named(reason.message) for reason in chosen if _is_absence(reason, evidence)}
    relaxed = policy.model_copy(
        update={
            "waivers": (*policy.waivers, *waivers),
            "required_checks": tuple(name for name in policy.required_checks if name not in absent),
            "tasks": {
                task: wanted.model_copy(
                    update={"required": tuple(name for name in wanted.required if name not in absent)}
                )
                for task, wanted in policy.tasks.items()
            },
            "other_tasks": policy.other_tasks.model_copy(
                update={"required": tuple(name for name in policy.other_tasks.required if name not in absent)}
            ),
        }
    )
    return decide(evidence, relaxed, decision.decided_at).verdict


def _waiver(code: str, evidence: Evidence, until: datetime) -> Waiver:
    listing, candidate = evidence.listing, evidence.candidate
    return Waiver(
        rule=code,
        endpoint=candidate.endpoint,
        model=candidate.id,
        commit=listing.commit if listing else "",
        owner="explain",
        reason="tried by registry-gate explain",
        expires=until,
    )


def _is_absence(reason: Reason, evidence: Evidence) -> bool:
    """A required check that did not look, which no waiver covers."""
    return all(finding.rule != reason.code for result in evidence.results for finding in result.findings)


def _named(message: str) -> str:
    return message.partition("'")[2].partition("'")[0]


def _in_words(codes: tuple[str, ...], chosen: list[Reason], evidence: Evidence) -> str:
    found = [code for code in codes if any(r.code == code and not _is_absence(r, evidence) for r in chosen)]
    absent = [_named(reason.message) for reason in chosen if _is_absence(reason, evidence)]
    parts = []
    if found:
        parts.append(f"without {_listed(found)}: put right at the source, or waived for this commit")
    if absent:
        parts.append(f"with a result of {_listed(absent)}: a required check has to look")
    return "; and ".join(parts)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if names[1:] else "") + names[-1]


def _for_the_worse(evidence: Evidence, decision: Decision, policy: Policy) -> Iterator[Change]:
    """What keeps an admitted model admitted: each finding that is allowed, held against a stricter bar."""
    for result in evidence.results:
        for finding in result.findings:
            stricter = policy.model_copy(
                update={"rules": {**policy.rules, finding.rule: RuleOverride(disposition=Disposition.REVIEW)}}
            )
            verdict = decide(evidence, stricter, decision.decided_at).verdict
            if verdict is not decision.verdict:
                yield Change(
                    what=f"if the policy sent {finding.rule} ({finding.severity.value}, "
                    f"{finding.confidence.value} confidence) to review",
                    verdict=verdict,
                )
    yield from _without_a_check(evidence, decision, policy)


def _without_a_check(evidence: Evidence, decision: Decision, policy: Policy) -> Iterator[Change]:
    """Any one required check that had not looked."""
    for name in policy.required_checks:
        left = tuple(result for result in evidence.results if result.name != name)
        blind = evidence.model_copy(update={"results": left})
        verdict = decide(blind, policy, decision.decided_at).verdict
        if verdict is not decision.verdict:
            yield Change(what=f"if any required check had not looked, {name} for one", verdict=verdict)
            return


def _by_threshold(evidence: Evidence, decision: Decision, policy: Policy) -> Iterator[Change]:
    """Each limit of a test, moved just past what was measured, and everything judged again."""
    unmoved = decide(judge_again(evidence, policy), policy, decision.decided_at).verdict
    told: set[str] = set()
    for name, limit in policy.thresholds.items():
        for value in _near(evidence, name):
            moved = policy.model_copy(update={"thresholds": {**policy.thresholds, name: value}})
            verdict = decide(judge_again(evidence, moved), moved, decision.decided_at).verdict
            if verdict is not unmoved and name not in told:
                told.add(name)
                yield Change(what=f"if {name} were {value:.4g} instead of {limit:g}", verdict=verdict)


def _near(evidence: Evidence, threshold: str) -> Iterator[float]:
    """The numbers of the test a limit belongs to, and the next on either side of each."""
    for test in evidence.behaviour.tests if evidence.behaviour else ():
        if not threshold.startswith(test.test):
            continue
        for value in (test.p_value, test.statistic, test.score):
            if value is not None:
                yield from (value, math.nextafter(value, -math.inf), math.nextafter(value, math.inf))
