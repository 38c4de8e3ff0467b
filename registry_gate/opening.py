"""What publishing needs, opened before a model is fetched: keys, trust, log, index, registry, signer."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from registry_gate.errors import ToolError, UsageError
from registry_gate.index.setup import ensure_index
from registry_gate.ledger import not_trusted, open_ledger
from registry_gate.log.self_tests import newest_self_test
from registry_gate.policy import SHIPPED, Policy, load_policy
from registry_gate.progress import Progress, silent
from registry_gate.publication import Publisher, Step, no_step
from registry_gate.registry import Registry
from registry_gate.self_test import RecordedSelfTest, unfit
from registry_gate.settings import Settings
from registry_gate.signer.passphrase import read_passphrase
from registry_gate.signer.process import SignerProcess
from registry_gate.signing.keys import init_keys, private_key_path, public_half
from registry_gate.signing.private_keys import is_encrypted
from registry_gate.signing.trust import Trust, effective_trust


def _first_use(settings: Settings) -> tuple[str, ...]:
    """Make key and trust file where there is neither; two gates may be started at once."""
    with _alone(settings.home / ".first-use.lock"):
        if settings.keys.exists() or settings.trust.exists():
            return ()
        pair = init_keys(settings, tuple(load_policy(name).digest() for name in SHIPPED))
        return (f"first use: made a signing key ({pair.key_id[:16]}…) in {settings.keys}",)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def open_publisher(
    settings: Settings,
    policy: Policy,
    alias: str | None,
    workspace: Path,
    step: Step = no_step,
    progress: Progress = silent,
) -> Publisher:
    """Open key, trust, log and registry; on the very first use, make a key and trust the shipped policies.

    Raises:
        UsageError: ``policy-not-trusted`` or ``key-not-trusted``, so that no model is fetched for a verdict
            nobody would accept.
        ToolError: ``self-test-missing``, ``self-test-stale``, ``self-test-failed`` where the policy demands
            that this installation has passed one.
    """
    notes = _first_use(settings)
    if settings.trust.exists():
        notes += ensure_index(settings)
    trust = effective_trust(settings)
    if policy.digest() not in trust.policies:
        raise UsageError(
            "policy-not-trusted",
            f"policy {policy.name!r} ({policy.digest()}) is not in the trust file",
            why="whatever it admitted would be refused at load time",
            todo="accept it once: `registry-gate keys trust-policy POLICY`",
        )
    signer = _open_signer(settings, trust)
    ledger = open_ledger(settings)
    self_test = newest_self_test(ledger.log.entries(), policy.digest(), settings.registry_uri, trust)
    _require_fitness(self_test, policy)
    registry = Registry(settings.registry_uri)
    return Publisher(signer, trust, ledger, registry, alias, workspace, step, progress, notes, self_test)


def _require_fitness(recorded: RecordedSelfTest | None, policy: Policy) -> None:
    """The same question that ``decide`` and the signer ask at the end, before anything is fetched."""
    if policy.self_test_days is None:
        return
    wanting = unfit(recorded, datetime.now(UTC), policy.self_test_days)
    if wanting:
        raise ToolError(
            wanting.code,
            wanting.message,
            why="a gate whose sandbox, keys or clock fail admits what it should not",
            todo="run `registry-gate doctor` here with the same --policy, and mend what it names",
        )


def _open_signer(settings: Settings, trust: Trust) -> SignerProcess:
    """Refuse before a model is fetched what the signer would refuse after hours."""
    signing = settings.signing
    if signing.sign_with == "key":
        key = public_half(settings)
        if key not in trust.keys:
            raise not_trusted(settings, "signing", key.key_id)
        if not is_encrypted(private_key_path(settings)):
            return SignerProcess(settings)
    elif not (trust.identities if signing.sign_with == "sigstore" else trust.certificates):
        raise UsageError(
            "signer-not-trusted",
            f"the trust file accepts no signer of the kind {signing.sign_with!r}",
            why="whatever was signed would be refused at load time",
            todo="add it with `registry-gate keys trust-identity` or `registry-gate keys trust-certificate`",
        )
    if signing.sign_with == "sigstore":
        return SignerProcess(settings)  # its token is fetched when it signs: it lives for minutes
    asked = signing.certificate_key if signing.sign_with == "certificate" else private_key_path(settings)
    prompt = "passphrase of the signing key: " if asked and is_encrypted(asked) else None
    signer = SignerProcess(settings, read_passphrase(signing, ask=prompt))
    signer.check()
    return signer
