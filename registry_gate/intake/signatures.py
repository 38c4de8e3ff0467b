"""Publishers' signatures in a snapshot: found by name, read and proven in a confined child, validated here.

A bundle is hostile input like any other file: its JSON, its certificates and its log proofs are parsed where
nothing can be reached. The child states who signed which digests; the digests that count are the gate's own,
and a check compares the two.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import ValidationError

from registry_gate.candidate import Candidate, Snapshot
from registry_gate.errors import ToolError, UsageError
from registry_gate.evidence import PublisherSignature
from registry_gate.examine.sandbox import run_confined
from registry_gate.intake.messages import ExpectedPublisher, SignatureAnswer, SignatureRequest
from registry_gate.policy import Policy, Publisher
from registry_gate.signing.identities import TrustedCertificate, TrustedIdentity
from registry_gate.signing.oms import Publishers
from registry_gate.signing.trust import TrustedKey, key_id, public_pem

CHILD = "registry_gate.intake.signatures_child"
MAX_SIGNATURES = 8
MAX_BYTES = 16 << 20
SUFFIXES = (".sig", ".sigstore", ".sigstore.json")
_SECONDS = 120
_MEMORY_MB = 2048
_STATUSES = frozenset({"signed", "stranger", "invalid", "none"})
_CHILD_DIED = frozenset({"reader-timeout", "reader-memory", "reader-crashed", "reader-answer"})


def expected_publishers(candidate: Candidate, policy: Policy) -> tuple[ExpectedPublisher, ...]:
    """The publishers that the policy expects to sign this model.

    Raises:
        UsageError: ``bad-publisher``.
    """
    expected = policy.provenance.publishers_of(candidate.id)
    return tuple(
        ExpectedPublisher(name=publisher.name, entry=publisher.digest(), accepted=accepted_of(publisher))
        for publisher in expected
    )


def accepted_of(publisher: Publisher) -> Publishers:
    """What proves a signature to be this publisher's.

    Raises:
        UsageError: ``bad-publisher`` where its key, identity or certificate cannot be used.
    """
    try:
        if publisher.key is not None:
            return Publishers(keys=(_key(publisher.key),))
        if publisher.identity is not None:
            identity = TrustedIdentity(identity=publisher.identity, issuer=publisher.issuer or "")
            return Publishers(identities=(identity,), sigstore_root=publisher.sigstore_root)
        certificate = TrustedCertificate(
            name=publisher.certificate or "",
            roots=publisher.roots or "",
            timestamp_roots=publisher.timestamp_roots,
        )
        return Publishers(certificates=(certificate,))
    except ValueError as error:
        raise UsageError(
            "bad-publisher",
            f"the policy's publisher {publisher.name!r} cannot be used: {str(error)[:300]}",
            todo="give a public key in PEM, an identity with its issuer, or a certificate with its roots",
        ) from error


def _key(pem: str) -> TrustedKey:
    """A pinned key, written the one way; a hint in a bundle is compared with that."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(pem.encode())
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("not an elliptic curve key")
    return TrustedKey(key_id=key_id(key), public_key=public_pem(key))


def examine_signatures(
    snapshot: Snapshot, candidate: Candidate, policy: Policy, now: datetime
) -> tuple[PublisherSignature, ...]:
    """What the signature files of a snapshot say; empty where there is none.

    Files beyond the first ``MAX_SIGNATURES``, or larger than ``MAX_BYTES``, are stated as invalid unread.

    Raises:
        ToolError: ``no-sandbox``, ``sandbox-leaks``.
    """
    found = sorted((file for file in snapshot.files if file.path.endswith(SUFFIXES)), key=lambda f: f.path)
    readable = [file.path for file in found[:MAX_SIGNATURES] if file.size <= MAX_BYTES]
    told = [_unread(file.path) for file in found if file.path not in readable]
    if not readable:
        return tuple(told)
    request = SignatureRequest(
        root=str(snapshot.root.resolve()),
        paths=tuple(readable),
        publishers=expected_publishers(candidate, policy),
        now=now,
    )
    return (*_ask(request, snapshot, policy), *told)


def _ask(request: SignatureRequest, snapshot: Snapshot, policy: Policy) -> tuple[PublisherSignature, ...]:
    root = snapshot.root.resolve()
    try:
        answer, _ = run_confined(
            CHILD,
            request.canonical(),
            inputs=[root / path for path in request.paths],
            seconds=_SECONDS,
            memory_mb=_MEMORY_MB,
            accepted=policy.sandboxes,
        )
        return _validated(answer, request)
    except ToolError as error:
        if error.code not in _CHILD_DIED:
            raise
        return tuple(_failed(path, f"{error.code}: {error.message}") for path in request.paths)


def _validated(answer: bytes, request: SignatureRequest) -> tuple[PublisherSignature, ...]:
    """The child's answer, about exactly the files asked for and by publishers that were named to it."""
    try:
        said = SignatureAnswer.from_json(answer).signatures
    except ValidationError as error:
        raise _nonsense(f"{error.error_count()} fields do not validate") from error
    entries = {publisher.name: publisher.entry for publisher in request.publishers}
    if tuple(item.path for item in said) != request.paths:
        raise _nonsense("it is not about the files asked for")
    for item in said:
        if item.status not in _STATUSES or (item.status == "signed") != (item.publisher in entries):
            raise _nonsense(f"{item.path[:200]!r} is {item.status!r} by {item.publisher!r}")
        if len({name for name, _ in item.files}) != len(item.files):
            raise _nonsense(f"{item.path[:200]!r} names a file twice")
    return tuple(item.model_copy(update={"proven_by": entries.get(item.publisher or "")}) for item in said)


def _unread(path: str) -> PublisherSignature:
    return _failed(path, f"not read: at most {MAX_SIGNATURES} signatures of {MAX_BYTES} bytes are")


def _failed(path: str, detail: str) -> PublisherSignature:
    return PublisherSignature(path=path, status="invalid", code="signature-not-read", detail=detail[:600])


def _nonsense(what: str) -> ToolError:
    return ToolError("reader-answer", f"the confined reader of signatures answers nonsense: {what}")
