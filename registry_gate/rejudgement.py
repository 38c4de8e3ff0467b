"""A stored examination judged again by today's checks and policy, without a byte of the candidate."""

from __future__ import annotations

from registry_gate import version
from registry_gate.checks import CHECKS
from registry_gate.evidence import Evidence
from registry_gate.policy import Policy


def judge_again(evidence: Evidence, policy: Policy) -> Evidence:
    """The same facts and measurements with new check results; when they were observed stays as it was.

    Pure. A check that did not exist then looks now; if it needs what was never measured it says so, and a
    policy that requires it refuses.
    """
    again = evidence.model_copy(update={"gate_version": version.VERSION, "results": ()})
    for check in CHECKS:
        if check.name in evidence.out_of_scope:
            continue
        again = again.model_copy(update={"results": (*again.results, check.run(again, policy))})
    return again
