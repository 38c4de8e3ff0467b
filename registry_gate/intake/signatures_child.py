"""The confined child that reads signature bundles: every way of signing, nothing to reach or to steal."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from registry_gate.errors import VerificationError
from registry_gate.evidence import PublisherSignature
from registry_gate.examine.confinement import serve
from registry_gate.intake.messages import ExpectedPublisher, SignatureAnswer, SignatureRequest
from registry_gate.progress import Progress

_STRANGERS = frozenset({"untrusted-key", "untrusted-identity", "untrusted-certificate"})
_MAX_DETAIL = 600


def answer(request: bytes, _progress: Progress) -> bytes:
    """State for each file whether a publisher of the policy signed it, and over which digests."""
    asked = SignatureRequest.from_json(request)
    told = [
        describe(path, (Path(asked.root) / path).read_bytes(), asked.publishers, asked.now)
        for path in asked.paths
    ]
    return SignatureAnswer(signatures=tuple(told)).canonical()


def describe(
    path: str, data: bytes, publishers: tuple[ExpectedPublisher, ...], now: datetime
) -> PublisherSignature:
    """One file: ``signed`` by the first publisher it is proven by, else what is the matter with it.

    A bundle that fails for one publisher and is a stranger's to the next is invalid: someone who claims to be
    expected here did not sign it.
    """
    if not _is_bundle(data):
        return PublisherSignature(path=path, status="none", detail="no Model Signing bundle")
    worst = VerificationError("untrusted-key", "the policy expects no publisher's signature here")
    for publisher in publishers:
        try:
            return _signed(path, data, publisher, now)
        except VerificationError as error:
            if worst.code in _STRANGERS:
                worst = error
    status = "stranger" if worst.code in _STRANGERS else "invalid"
    return PublisherSignature(path=path, status=status, code=worst.code, detail=worst.message[:_MAX_DETAIL])


def _signed(path: str, data: bytes, publisher: ExpectedPublisher, now: datetime) -> PublisherSignature:
    from registry_gate.signing.oms import open_model_signature

    found = open_model_signature(data, publisher.accepted, now=now)
    return PublisherSignature(
        path=path,
        status="signed",
        publisher=publisher.name,
        method=found.signatory.method.value,
        signer=str(found.signatory),
        files=tuple(sorted(found.files.items())),
        ignored=tuple(sorted(found.ignored)),
    )


def _is_bundle(data: bytes) -> bool:
    """True for JSON that means to be a bundle; detached signatures of other tools are none of ours."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "dsseEnvelope" in value


if __name__ == "__main__":
    serve(answer)
