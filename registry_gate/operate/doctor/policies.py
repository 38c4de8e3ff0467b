"""Is the policy one that can decide, and would anybody accept its verdicts?"""

from __future__ import annotations

from datetime import UTC, datetime

from registry_gate.checks import CHECKS, RULES
from registry_gate.operate.doctor.probe import Installation, Probe, Said, failed, ok
from registry_gate.policy import SHIPPED, Policy, load_policy

_LIMITS_OF = {
    "backdoor-score": (
        "backdoor-score",
        "backdoor-score-grey",
        "backdoor-score-no-samples",
        "backdoor-score-no-samples-grey",
    ),
    "final-layer": ("final-layer-deviations",),
    "text-trigger": ("text-trigger-p-value", "text-trigger-p-value-grey"),
    "mm-bd": ("mm-bd-p-value",),
    "bounded-pattern": ("bounded-pattern-gap", "bounded-pattern-gap-grey"),
    "strip": ("strip-false-rejection-rate", "strip-flagged-share"),
}
"""The limits without which a behavioural check answers ``error``."""

_OLD_DAYS = 366


def _policy(installation: Installation) -> Said:
    policy = installation.policy
    digest = policy.digest()
    if problem := wrong_with(policy):
        return failed(f"{policy.name}: {problem}", "mend the policy, then `registry-gate keys trust-policy`")
    settings = installation.settings
    if settings.trust.exists() or settings.administrator_trust.exists():
        if digest not in installation.trust.policies:
            return failed(
                f"{policy.name} ({digest}) is not in the trust file: the signer refuses what it admits",
                f"accept it once: `registry-gate keys trust-policy {installation.policy_reference}`",
            )
        return ok(f"{policy.name} {digest}, accepted by the trust file", _advice(policy))
    return ok(f"{policy.name} {digest}", _advice(policy))


def wrong_with(policy: Policy) -> str:
    """What a policy that parses still lacks to decide by; empty where nothing is."""
    known = {check.name for check in CHECKS}
    tasks = (*policy.tasks.values(), policy.other_tasks)
    required = {*policy.required_checks, *(name for task in tasks for name in task.required)}
    if unknown := sorted(required - known):
        return f"it requires a check that does not exist: {', '.join(unknown)}"
    if unknown := sorted(set(policy.rules) - set(RULES)):
        return f"it names a rule that does not exist: {', '.join(unknown)}"
    limits = [limit for name in sorted(required & set(_LIMITS_OF)) for limit in _LIMITS_OF[name]]
    if absent := [limit for limit in limits if limit not in policy.thresholds]:
        return f"thresholds of a required check are missing: {', '.join(absent)}"
    empty = {
        "list of required checks": policy.required_checks,
        "list of protected names": policy.protected.names and policy.protected.owners,
        "pickle allow-list": policy.pickle_allow_list.globals,
    }
    return "; ".join(f"its {what} is empty" for what, entries in empty.items() if not entries)


def _advice(policy: Policy) -> str:
    now = datetime.now(UTC)
    if expired := [waiver.rule for waiver in policy.waivers if waiver.expires <= now]:
        return f"waivers have expired: {', '.join(expired[:5])}"
    days = (now.date() - policy.protected.dated).days
    return f"its protected names are {days} days old: look them over" if days > _OLD_DAYS else ""


def _shipped(_installation: Installation) -> Said:
    digests = []
    for name in SHIPPED:
        policy = load_policy(name)
        if problem := wrong_with(policy):
            return failed(f"{name}: {problem}", "install registry-gate anew")
        digests.append(f"{name} {policy.digest()[:19]}…")
    return ok(", ".join(digests))


PROBES = (
    Probe("policy", "the policy can decide, and the trust file accepts its verdicts", _policy),
    Probe("policies-shipped", "the shipped policies and their tables are whole", _shipped),
)
