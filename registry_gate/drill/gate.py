"""The gate's controls: which checks are whose, what each said, the verdict with some off."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from registry_gate.checks import CHECKS
from registry_gate.checks.check import Check, Stage
from registry_gate.decision import Verdict, decide, disposition
from registry_gate.evidence import Evidence
from registry_gate.finding import Finding
from registry_gate.policy import Disposition, Policy, RuleOverride, TaskRequirement
from registry_gate.report.document import Report

_OF_STAGE = {
    Stage.METADATA: "provenance",
    Stage.FILES: "pickle",
    Stage.TENSORS: "conversion",
    Stage.BEHAVIOUR: "behaviour",
}
_OF_CHECK = {"repo-name": "name", "model-structure": "conversion"}
GATE_CONTROLS = frozenset({"name", *_OF_STAGE.values()})
"""The controls that one verdict of the gate joins."""

_STEPS = {
    "name": ("list",),
    "provenance": ("list",),
    "pickle": ("list", "fetch", "prove", "read"),
    "conversion": ("list", "fetch", "prove", "read", "convert"),
    "behaviour": ("list", "fetch", "prove", "read", "convert", "behaviour"),
}


def control_of(check: Check) -> str:
    """The control that a check belongs to: by its own name, else by the stage it judges in."""
    return _OF_CHECK.get(check.name) or _OF_STAGE[check.stage]


def policy_without(policy: Policy, controls: Iterable[str]) -> Policy:
    """The policy with some gate controls off: their rules allow, none of their checks is required."""
    off = frozenset(controls)
    silenced = [check for check in CHECKS if control_of(check) in off]
    names = {check.name for check in silenced}
    allowed = {
        rule.id: RuleOverride(disposition=Disposition.ALLOW, because="switched off for the drill")
        for check in silenced
        for rule in check.rules
    }
    return policy.model_copy(
        update={
            "name": f"drill-without-{'-'.join(sorted(off)) or 'nothing'}",
            "rules": policy.rules | allowed,
            "required_checks": tuple(name for name in policy.required_checks if name not in names),
            "tasks": {task: _without(need, names) for task, need in policy.tasks.items()},
            "other_tasks": _without(policy.other_tasks, names),
        }
    )


def _without(need: TaskRequirement, names: set[str]) -> TaskRequirement:
    return need.model_copy(update={"required": tuple(name for name in need.required if name not in names)})


def verdict_without(evidence: Evidence, policy: Policy, controls: Iterable[str], now: datetime) -> Verdict:
    """What ``decide`` says of the stored evidence with some controls off."""
    return decide(evidence, policy_without(policy, controls), now).verdict


def blocking(evidence: Evidence, policy: Policy, control: str) -> tuple[Finding, ...]:
    """The findings of one control that keep the candidate out under the policy."""
    mine = {check.name for check in CHECKS if control_of(check) == control}
    return tuple(
        finding
        for result in evidence.results
        if result.name in mine
        for finding in result.findings
        if disposition(finding, policy) is not Disposition.ALLOW
    )


def seconds_until(report: Report, control: str) -> float:
    """Seconds of the admission until this control's checks had judged, fetching and converting included."""
    mine = {check.name for check in CHECKS if control_of(check) == control}
    judged = sum(check.seconds or 0.0 for check in report.checks if check.name in mine)
    return judged + sum(report.seconds.get(step, 0.0) for step in _STEPS[control])
