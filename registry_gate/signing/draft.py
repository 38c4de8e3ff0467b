"""The statements of a Release, as bytes to be signed: a pure function of evidence, decision and terms."""

from __future__ import annotations

from dataclasses import dataclass

from registry_gate.decision import Decision
from registry_gate.errors import Refused
from registry_gate.evidence import Evidence, Staged
from registry_gate.finding import CheckResult, Status
from registry_gate.record import Record
from registry_gate.release import Manifest, Source, Terms
from registry_gate.signing import predicates as said
from registry_gate.signing.manifest import manifest_of
from registry_gate.signing.statements import input_attestation, model_signature, payload, subject

_LEVEL = "REGISTRY_GATE_ADMITTED"


@dataclass(frozen=True)
class Draft:
    """What is to be signed: the payload of ``model.sig`` and those of the statements, the verdict last."""

    source: Source
    manifest: Manifest
    model_signature: bytes
    statements: tuple[bytes, ...]


def make_draft(evidence: Evidence, decision: Decision, terms: Terms, verifier: str) -> Draft:
    """Put evidence and decision into words.

    Raises:
        Refused: ``signer-refuses`` where there is no commit or nothing staged.
        VerificationError: ``bad-manifest`` when a staged name may not stand in a Release.
    """
    listing, staged, candidate = evidence.listing, evidence.staged, evidence.candidate
    if listing is None or staged is None or not staged.files:
        raise refuses("the evidence names no commit or no staged files")
    source = Source(kind=candidate.kind, endpoint=candidate.endpoint, id=candidate.id, commit=listing.commit)
    manifest = manifest_of(staged)
    about = subject(evidence.registered_name, manifest.digest())
    model_subject, model_predicate = model_signature(manifest)
    signature = payload(model_subject, said.MODEL_SIGNATURE, model_predicate)
    conversion = _conversion(source, evidence, staged, verifier)
    statements = _statements(about, manifest, conversion, evidence, decision)
    grant = said.Grant(
        registered_name=evidence.registered_name,
        source=source,
        terms=terms,
        evidence_digest=decision.evidence_digest,
    )
    inputs = [(said.MODEL_SIGNATURE, signature), *statements]
    verdict = payload(about, said.VERDICT, _verdict(grant, decision, verifier, evidence, inputs))
    return Draft(source, manifest, signature, (*(data for _, data in statements), verdict))


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
    """Type and payload of every statement but the verdict."""
    made: list[tuple[str, Record]] = [(said.MANIFEST, manifest)]
    made += [(said.TEST_RESULT, _test_result(result, decision)) for result in evidence.results]
    made.append((said.CONVERSION, conversion))
    return [(kind, payload(about, kind, predicate)) for kind, predicate in made]


def _test_result(result: CheckResult, decision: Decision) -> said.TestResult:
    """PASSED if it looked and found nothing; WARNED otherwise, since what fails is not signed."""
    clean = result.status is Status.NO_FINDINGS
    found = tuple(dict.fromkeys(finding.rule for finding in result.findings))
    return said.TestResult(
        result="PASSED" if clean else "WARNED",
        configuration=(_policy_resource(decision),),
        passed_tests=(result.name,) if clean else (),
        warned_tests=() if clean else found or (result.name,),
        registry_gate_check=result,
    )


def _policy_resource(decision: Decision) -> said.Resource:
    return subject(decision.policy_name, decision.policy_digest)


def _conversion(source: Source, evidence: Evidence, staged: Staged, verifier: str) -> said.Conversion:
    sources = dict(sorted((file.source, file.source_sha256) for file in staged.files))
    files = tuple(
        said.SourceFile(uri=source.uri, name=name, digest=said.DigestSet(sha256=digest))
        for name, digest in sources.items()
    )
    return said.Conversion(
        build_definition=said.BuildDefinition(
            external_parameters=said.Parameters(source=source), resolved_dependencies=files
        ),
        run_details=said.RunDetails(
            builder=said.Builder(id=verifier, version={"registry-gate": evidence.gate_version}),
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
