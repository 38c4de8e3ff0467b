"""The statements of a Release, as bytes to be signed: a pure function of evidence, decision and terms."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC
from hashlib import sha256
from urllib.parse import quote

from registry_gate.decision import Decision
from registry_gate.errors import Refused
from registry_gate.evidence import Evidence, Staged
from registry_gate.finding import CheckResult, Status
from registry_gate.record import Record, canonical_json
from registry_gate.release import BOM_FILE, Manifest, Source, Terms
from registry_gate.report import bom
from registry_gate.signing import predicates as said
from registry_gate.signing.manifest import manifest_of
from registry_gate.signing.statements import input_attestation, model_signature, payload, subject

_LEVEL = "REGISTRY_GATE_ADMITTED"
_OF_WEIGHTS = frozenset({"weight-values", "final-rows", "low-bits"})


@dataclass(frozen=True)
class Draft:
    """What is to be signed: the payload of ``model.sig`` and those of the statements, the verdict last.

    ``bill_of_materials`` are the bytes of ``bom.cdx.json``, the one file of ``model/`` that the gate writes.
    """

    source: Source
    manifest: Manifest
    bill_of_materials: bytes
    model_signature: bytes
    statements: tuple[bytes, ...]


def make_draft(
    evidence: Evidence,
    decision: Decision,
    terms: Terms,
    verifier: str,
    bill_of_materials: bytes | None = None,
) -> Draft:
    """Put evidence and decision into words.

    Args:
        evidence: the whole record.
        decision: what ``decide`` said of it.
        terms: sequence number and validity.
        verifier: the id to sign as.
        bill_of_materials: of the Release that is renewed; made of the evidence if None.

    Raises:
        Refused: ``signer-refuses`` where there is no commit or nothing staged.
        VerificationError: ``bad-manifest`` when a staged name may not stand in a Release.
    """
    listing, staged, candidate = evidence.listing, evidence.staged, evidence.candidate
    if listing is None or staged is None or not staged.files:
        raise refuses("the evidence names no commit or no staged files")
    source = Source(kind=candidate.kind, endpoint=candidate.endpoint, id=candidate.id, commit=listing.commit)
    bill = bill_of_materials or bom.render(evidence, decision.decided_at).encode("ascii")
    manifest = manifest_of(staged, {BOM_FILE: bill})
    about = subject(evidence.registered_name, manifest.digest())
    model_subject, model_predicate = model_signature(manifest)
    signature = payload(model_subject, said.MODEL_SIGNATURE, model_predicate)
    conversion = _conversion(source, evidence, staged, verifier)
    statements = _statements(about, manifest, conversion, evidence, decision)
    contents = payload(about, said.BILL_OF_MATERIALS, json.loads(bill))
    statements.append((said.BILL_OF_MATERIALS, contents))
    grant = said.Grant(
        registered_name=evidence.registered_name,
        source=source,
        terms=terms,
        evidence_digest=decision.evidence_digest,
    )
    inputs = [(said.MODEL_SIGNATURE, signature), *statements]
    verdict = payload(about, said.VERDICT, _verdict(grant, decision, verifier, evidence, inputs))
    return Draft(source, manifest, bill, signature, (*(data for _, data in statements), verdict))


def refuses(detail: str) -> Refused:
    """The signer's one way of saying no."""
    return Refused(
        "signer-refuses",
        f"the signer will not sign: {detail}",
        why="the key signs only what the policy, applied again, admits",
        todo="look at the report; a policy of your own is accepted with `registry-gate keys trust-policy`",
    )


def _statements(
    about: said.Resource,
    manifest: Manifest,
    conversion: said.Conversion,
    evidence: Evidence,
    decision: Decision,
) -> list[tuple[str, bytes]]:
    """Type and payload of every statement but the bill of materials and the verdict."""
    made: list[tuple[str, Record]] = [(said.MANIFEST, manifest)]
    made += [(said.TEST_RESULT, _test_result(result, evidence, decision)) for result in evidence.results]
    made.append((said.CONVERSION, conversion))
    return [(kind, payload(about, kind, predicate)) for kind, predicate in made]


def _test_result(result: CheckResult, evidence: Evidence, decision: Decision) -> said.TestResult:
    """PASSED if it looked and found nothing; WARNED otherwise, since what fails is not signed."""
    clean = result.status is Status.NO_FINDINGS
    found = tuple(dict.fromkeys(finding.rule for finding in result.findings))
    return said.TestResult(
        result="PASSED" if clean else "WARNED",
        configuration=(_policy_resource(decision),),
        passed_tests=(result.name,) if clean else (),
        warned_tests=() if clean else found or (result.name,),
        registry_gate_measured=_measured(result, evidence),
    )


def _measured(result: CheckResult, evidence: Evidence) -> said.Measured:
    """What stands behind a check: its behavioural test in full, or the statistics the conversion lists."""
    tests = evidence.behaviour.tests if evidence.behaviour else ()
    statistics = _statistics(evidence) if result.name in _OF_WEIGHTS else None
    behaviour = next((test for test in tests if test.test == result.name), None)
    return said.Measured(check=result, behaviour=behaviour, statistics=statistics)


def _statistics(evidence: Evidence) -> str:
    tensors = evidence.staged.tensors if evidence.staged else ()
    data = canonical_json([tensor.model_dump(mode="json") for tensor in tensors])
    return f"sha256:{sha256(data).hexdigest()}"


def _policy_resource(decision: Decision) -> said.Resource:
    return subject(decision.policy_name, decision.policy_digest)


def _conversion(source: Source, evidence: Evidence, staged: Staged, verifier: str) -> said.Conversion:
    sources = dict(sorted((file.source, file.source_sha256) for file in staged.files))
    files = tuple(
        said.SourceFile(uri=f"{source.uri}#{quote(name)}", name=name, digest=said.DigestSet(sha256=digest))
        for name, digest in sources.items()
    )
    return said.Conversion(
        build_definition=said.BuildDefinition(
            external_parameters=said.Parameters(source=source), resolved_dependencies=files
        ),
        run_details=said.RunDetails(
            builder=said.Builder(id=verifier, version={"registry-gate": evidence.gate_version}),
            metadata=said.BuildMetadata(
                invocation_id=evidence.digest(), started_on=evidence.observed_at.astimezone(UTC)
            ),
            registry_gate_tensors=staged.tensors,
        ),
    )


def _verdict(
    grant: said.Grant,
    decision: Decision,
    verifier: str,
    evidence: Evidence,
    inputs: list[tuple[str, bytes]],
) -> said.Verdict:
    return said.Verdict(
        verifier=said.Verifier(id=verifier, version={"registry-gate": evidence.gate_version}),
        time_verified=decision.decided_at,
        resource_uri=grant.source.uri,
        policy=said.PolicyReference(
            uri=f"urn:registry-gate:policy:{decision.policy_name}",
            digest=said.DigestSet(sha256=decision.policy_digest.removeprefix("sha256:")),
        ),
        input_attestations=tuple(input_attestation(kind, data) for kind, data in inputs),
        verification_result="PASSED",
        verified_levels=(_LEVEL,),
        registry_gate_grant=grant,
    )
