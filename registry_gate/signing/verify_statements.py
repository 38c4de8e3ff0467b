"""What the statements of a Release say, believed only after every signature and agreement was checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from registry_gate.record import readable_json
from registry_gate.release import BOM_FILE, Manifest, Terms, Verified
from registry_gate.signing import predicates as said
from registry_gate.signing.attestations import Attestations, open_attestations
from registry_gate.signing.identities import Signatory
from registry_gate.signing.manifest import check_manifest
from registry_gate.signing.refusal import refusal, shown
from registry_gate.signing.sigstore_check import Window
from registry_gate.signing.statements import (
    Statement,
    input_attestation,
    model_signature,
    parse,
    payload,
    predicate_of,
)
from registry_gate.signing.trust import Trust

_MAX_STATEMENTS = 1000
_CLOCK_SKEW = timedelta(minutes=5)
_LONGEST_ADMISSION = timedelta(days=1)  # a verdict is dated when its admission begins, and sealed at its end
_ONCE = (said.MANIFEST, said.CONVERSION, said.BILL_OF_MATERIALS, said.VERDICT)


@dataclass(frozen=True)
class VerifiedStatements:
    """What the statements say, once verified, and the very bytes that were verified."""

    verified: Verified
    manifest: Manifest
    statements: bytes
    model_sig: bytes
    bill_of_materials: bytes


def verify_statements(
    statements: bytes,
    model_sig: bytes,
    trust: Trust,
    *,
    expect_name: str | None = None,
    expect_id: str | None = None,
    now: datetime | None = None,
) -> VerifiedStatements:
    """Verify every bundle and hold what they say against the trust, the request and each other.

    Args:
        statements: the bytes of ``statements.jsonl``.
        model_sig: the bytes of ``model.sig``.
        trust: pinned keys, verifier id and policy digests.
        expect_name: the registered name asked for, None where a folder was named.
        expect_id: the exact source id asked for, case included; None where only the name is known.
        now: aware time; the clock's if None.

    Raises:
        VerificationError: see ``signing.refusal.CODES``.
    """
    if not statements or not model_sig:
        raise refusal("no-signature", "the attestations are empty")
    lines = statements.split(b"\n")
    if lines.pop() != b"" or len(lines) > _MAX_STATEMENTS:
        raise refusal("bad-bundle", "statements.jsonl does not end with its last line or has too many")
    now = now or datetime.now(UTC)
    found = open_attestations(model_sig, lines, trust, now)
    verdict, manifest, bill = _consistent(found)
    _check_verdict(verdict, trust)
    _check_expected(verdict.registry_gate_grant, expect_name, expect_id)
    _check_validity(verdict.registry_gate_grant.terms, now)
    _check_window(verdict.registry_gate_grant.terms, found.window)
    check_manifest(manifest)
    _check_model_signature(found.model_signature, manifest)
    verified = _verified(verdict, manifest, found.signatory)
    return VerifiedStatements(verified, manifest, statements, model_sig, bill)


def _consistent(found: Attestations) -> tuple[said.Verdict, Manifest, bytes]:
    """One of each, one subject, every payload named by the verdict, in its order, and none besides."""
    parsed = [parse(data) for data in found.statements]
    kinds = [statement.predicate_type for statement in parsed]
    if any(kinds.count(kind) != 1 for kind in _ONCE) or set(kinds) - {*_ONCE, said.TEST_RESULT}:
        raise refusal("bad-statement", f"these statements do not make a Release: {shown(sorted(set(kinds)))}")
    verdict = predicate_of(parsed[kinds.index(said.VERDICT)], said.Verdict)
    manifest = predicate_of(parsed[kinds.index(said.MANIFEST)], Manifest)
    payloads = [found.model_signature, *found.statements[:-1]]
    named = [
        input_attestation(kind, data)
        for kind, data in zip([said.MODEL_SIGNATURE, *kinds[:-1]], payloads, strict=True)
    ]
    if kinds[-1] != said.VERDICT:
        raise refusal("bad-statement", "the verdict is not the last statement")
    if list(verdict.input_attestations) != named:
        raise refusal("bad-statement", "the statements are not those that the verdict was given on")
    _check_subjects(parsed, verdict, manifest)
    _check_predicates(parsed, verdict)
    return verdict, manifest, _bill_of_materials(parsed[kinds.index(said.BILL_OF_MATERIALS)], manifest)


def _check_subjects(parsed: list[Statement], verdict: said.Verdict, manifest: Manifest) -> None:
    name = verdict.registry_gate_grant.registered_name
    digest = manifest.digest().removeprefix("sha256:")
    for statement in parsed:
        (about,) = statement.subject
        if about.name != name or about.digest_.sha256 != digest:
            raise refusal("bad-statement", f"a statement is about {shown(about.name)}, not this Release")


def _check_predicates(parsed: list[Statement], verdict: said.Verdict) -> None:
    for statement in parsed:
        if statement.predicate_type == said.TEST_RESULT:
            predicate_of(statement, said.TestResult)
        elif statement.predicate_type == said.CONVERSION:
            conversion = predicate_of(statement, said.Conversion)
            if conversion.build_definition.external_parameters.source != verdict.registry_gate_grant.source:
                raise refusal("bad-statement", "the conversion is of another source than the verdict")


def _bill_of_materials(statement: Statement, manifest: Manifest) -> bytes:
    """The bytes of the document, which must be the one that lies in ``model/``."""
    data = readable_json(statement.predicate)
    file = next((file for file in manifest.files if file.name == BOM_FILE), None)
    if file is None or (file.size, file.sha256) != (len(data), sha256(data).hexdigest()):
        raise refusal("bad-statement", f"the bill of materials stated is not the {BOM_FILE} of the manifest")
    return data


def _check_verdict(verdict: said.Verdict, trust: Trust) -> None:
    if verdict.verification_result != "PASSED":
        raise refusal("wrong-verdict", f"the verdict is {shown(verdict.verification_result)}")
    if verdict.verifier.id != trust.verifier:
        raise refusal("wrong-verifier", f"the verdict was given by {shown(verdict.verifier.id)}")
    if f"sha256:{verdict.policy.digest_.sha256}" not in trust.policies:
        raise refusal("wrong-policy", f"policy {shown(verdict.policy.uri)} with this digest is not accepted")
    if verdict.resource_uri != verdict.registry_gate_grant.source.uri:
        raise refusal("bad-statement", "the verdict names two sources")


def _check_expected(grant: said.Grant, name: str | None, model_id: str | None) -> None:
    if name is not None and name != grant.registered_name:
        raise refusal("wrong-name", f"this is {shown(grant.registered_name)}, not {shown(name)}")
    if model_id is not None and model_id != grant.source.id:
        raise refusal("wrong-name", f"this is {shown(grant.source.id)}, not {shown(model_id)}")


def _check_validity(terms: Terms, now: datetime) -> None:
    if now < terms.issued_at - _CLOCK_SKEW:
        raise refusal("not-yet-valid", f"issued at {terms.issued_at.isoformat()}, after this clock's time")
    if now >= terms.expires_at:
        raise refusal("expired", f"the verdict expired at {terms.expires_at.isoformat()}")


def _check_window(terms: Terms, window: Window | None) -> None:
    """What proves the time of sealing must agree with the time the verdict claims."""
    if window is None:
        return
    first, last = window
    if not first - _LONGEST_ADMISSION <= terms.issued_at <= last + _CLOCK_SKEW:
        raise refusal("wrong-time", f"dated {terms.issued_at.isoformat()}, sealed {first} to {last}")


def _check_model_signature(signature: bytes, manifest: Manifest) -> None:
    """``model.sig`` must say exactly what Model Signing says of the manifest's files."""
    about, predicate = model_signature(manifest)
    if payload(about, said.MODEL_SIGNATURE, predicate) != signature:
        raise refusal("bad-manifest", "model.sig and the manifest list different files")


def _verified(verdict: said.Verdict, manifest: Manifest, signatory: Signatory) -> Verified:
    grant = verdict.registry_gate_grant
    return Verified(
        name=grant.registered_name,
        id=grant.source.id,
        kind=grant.source.kind,
        endpoint=grant.source.endpoint,
        commit=grant.source.commit,
        sequence=grant.terms.sequence,
        manifest_digest=manifest.digest(),
        files_digest=manifest.files_digest(),
        policy_name=verdict.policy.uri.rpartition(":")[2],
        policy_digest=f"sha256:{verdict.policy.digest_.sha256}",
        evidence_digest=grant.evidence_digest,
        gate_version=verdict.verifier.version.get("registry-gate", ""),
        verifier=verdict.verifier.id,
        signed_by=str(signatory),
        issued_at=grant.terms.issued_at,
        expires_at=grant.terms.expires_at,
        files=len(manifest.files),
        size=manifest.total_size,
    )
