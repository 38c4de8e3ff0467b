"""All probes in order, what came of them, and the record of it that the gate keeps."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from registry_gate import version
from registry_gate.errors import Error, UsageError
from registry_gate.ledger import open_ledger
from registry_gate.log.entries import LogEntry, SelfTestBody
from registry_gate.log.self_tests import this_host
from registry_gate.operate.doctor import books, canaries, clock, keys, machine, policies, registry, sandbox
from registry_gate.operate.doctor.probe import Installation, Probe, carry_out
from registry_gate.policy import load_policy
from registry_gate.progress import Progress, silent
from registry_gate.self_test import SelfTest
from registry_gate.settings import Settings
from registry_gate.signing.keys import load_log_signer
from registry_gate.signing.self_test import sign_self_test

PROBES: tuple[Probe, ...] = (
    *sandbox.PROBES,
    *keys.PROBES,
    *books.PROBES,
    *registry.PROBES,
    *policies.PROBES,
    *canaries.PROBES,
    *machine.PROBES,
    *clock.PROBES,
)
"""In the order they run: ``clock-steady`` last, so that it has watched the others."""

DEFAULT_SAMPLE = 20
"""Registered versions verified in full, unless asked for more."""


def chosen(codes: Sequence[str]) -> tuple[Probe, ...]:
    """The probes of these codes, all where none is named.

    Raises:
        UsageError: ``unknown-probe``.
    """
    known = {probe.code: probe for probe in PROBES}
    for code in codes:
        if code not in known:
            near = ", ".join(get_close_matches(code, known, 3)) or ", ".join(known)
            raise UsageError(
                "unknown-probe", f"there is no probe {code[:100]!r}", todo=f"did you mean: {near}"
            )
    return tuple(probe for probe in PROBES if probe.code in codes or not codes)


def self_test(
    settings: Settings,
    policy: str,
    *,
    probes: Sequence[Probe] = PROBES,
    sample: int = DEFAULT_SAMPLE,
    progress: Progress = silent,
) -> SelfTest:
    """Run probes and say what came of each; nothing of the installation is changed.

    Args:
        settings: of the installation.
        policy: a shipped policy's name, or a path, as for ``admit``; one that cannot be read is a finding.
        probes: those to run.
        sample: how many registered versions are verified at most.
        progress: told how many probes are done.
    """
    began, monotonic = datetime.now(UTC), time.monotonic()
    digest = _digest(policy)
    with tempfile.TemporaryDirectory(prefix="registry-gate-doctor-") as scratch:
        tested = Installation(settings, policy, Path(scratch), sample, began, monotonic)
        results = []
        for done, probe in enumerate(probes):
            progress("doctor", done, len(probes))
            results.append(carry_out(probe, tested))
        progress("doctor", len(probes), len(probes))
    return SelfTest(
        tested_at=began,
        host=this_host(),
        gate_version=version.VERSION,
        policy=policy,
        policy_digest=digest,
        registry_uri=settings.registry_uri,
        versions=machine.versions(),
        results=tuple(results),
    )


def _digest(policy: str) -> str | None:
    try:
        return load_policy(policy).digest()
    except Error:
        return None


def record(settings: Settings, said: SelfTest) -> LogEntry:
    """Sign a self-test of all probes and put it into the log, passed or not: the newest one counts.

    Raises:
        UsageError: ``self-test-partial``, ``self-test-without-policy``, and what opening the log raises.
        VerificationError: the log or the index cannot be believed.
        ToolError: ``log-not-written``.
    """
    if {result.code for result in said.results} != {probe.code for probe in PROBES}:
        raise UsageError("self-test-partial", "only a run of every probe is recorded")
    if said.policy_digest is None:
        raise UsageError(
            "self-test-without-policy", "the policy cannot be read, so nothing was tested for it"
        )
    signed = sign_self_test(said, load_log_signer(settings))
    return open_ledger(settings).record(
        SelfTestBody(
            state=said.state,
            host=said.host,
            policy=said.policy,
            policy_digest=said.policy_digest,
            failing=said.bad,
            bundle=signed.bundle,
        )
    )
