"""The gate's signed word that an installation passed, or failed, its self-test: by the key of its log.

That key needs no passphrase, so a nightly run can sign; it signs no Release. Whoever holds it can say that a
self-test passed: what this guards against is a gate that decayed, not a gate that was taken over.
"""

from __future__ import annotations

from pydantic import ValidationError

from registry_gate.self_test import RecordedSelfTest, SelfTest
from registry_gate.signing.dsse import parse_canonical, seal, unseal
from registry_gate.signing.keys import Signer
from registry_gate.signing.refusal import refusal
from registry_gate.signing.trust import Trust

PAYLOAD_TYPE = "application/vnd.registry-gate.self-test.v1+json"


def sign_self_test(said: SelfTest, signer: Signer) -> RecordedSelfTest:
    """A self-test with the line that was signed over it."""
    return RecordedSelfTest(said=said, bundle=seal(said.canonical(), signer, PAYLOAD_TYPE).decode())


def open_self_test(bundle: str, trust: Trust) -> RecordedSelfTest:
    """Verify a self-test against the keys of the log.

    Raises:
        VerificationError: ``bad-bundle``, ``bad-signature``, ``untrusted-key``, ``bad-statement``.
    """
    opened = unseal(bundle.encode(), trust.for_log(), PAYLOAD_TYPE)
    try:
        parse_canonical(opened.payload)
        return RecordedSelfTest(said=SelfTest.from_json(opened.payload), bundle=bundle)
    except (ValidationError, ValueError) as error:
        raise refusal("bad-statement", "it is signed but is no self-test") from error
