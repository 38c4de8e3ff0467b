"""The signer: judges once more, then turns Staged into a Release and signs what it says about it."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path

from registry_gate.candidate import registered_name
from registry_gate.decision import Approval, Decision, Verdict, decide
from registry_gate.errors import Refused, ToolError, UsageError
from registry_gate.evidence import Evidence, Staged
from registry_gate.finding import CheckResult, Status
from registry_gate.policy import Policy
from registry_gate.record import Record
from registry_gate.release import Manifest, Release, Source, Terms
from registry_gate.signing import predicates as said
from registry_gate.signing.dsse import seal
from registry_gate.signing.keys import Signer
from registry_gate.signing.manifest import manifest_of
from registry_gate.signing.statements import (
    MODEL_FOLDER,
    MODEL_SIG,
    STATEMENTS,
    input_attestation,
    model_signature,
    payload,
    subject,
)
from registry_gate.signing.trust import Trust

_LEVEL = "REGISTRY_GATE_ADMITTED"


def sign_release(
    evidence: Evidence,
    decision: Decision,
    policy: Policy,
    *,
    terms: Terms,
    signer: Signer,
    trust: Trust,
    destination: Path,
    approvals: tuple[Approval, ...] = (),
) -> Release:
    """Make the Release directory and sign it; the staged files are moved into it.

    Args:
        evidence: the whole record, with its check results; ``evidence.staged.root`` holds the files.
        decision: must say admit, and be what ``decide`` says of this evidence again at ``terms.issued_at``.
        policy: the policy of the decision; its digest must be in ``trust``.
        terms: sequence number and validity.
        signer: the private key.
        trust: names the verifier id to sign as and the policies to sign under.
        destination: the new directory; must not exist.
        approvals: verified ones, where the decision rests on one.

    Raises:
        Refused: ``signer-refuses`` when anything above does not hold.
        VerificationError: ``bad-manifest`` when a staged name may not stand in a Release.
        UsageError: ``release-exists``.
        ToolError: ``release-not-written``.
    """
    source, staged = _check(evidence, decision, policy, terms, trust, signer, approvals)
    manifest = manifest_of(staged)
    about = subject(evidence.registered_name, manifest.digest())
    model_subject, model_predicate = model_signature(manifest)
    signature = payload(model_subject, said.MODEL_SIGNATURE, model_predicate)
    conversion = _conversion(source, evidence, staged, trust)
    statements = _statements(about, manifest, conversion, evidence, decision)
    grant = said.Grant(
        registered_name=evidence.registered_name,
        source=source,
        terms=terms,
        evidence_digest=decision.evidence_digest,
    )
    inputs = [(said.MODEL_SIGNATURE, signature), *statements]
    verdict = _verdict(grant, decision, trust, evidence, inputs)
    lines = [data for _, data in statements] + [payload(about, said.VERDICT, verdict)]
    _write(staged, manifest, destination, seal(signature, signer), [seal(line, signer) for line in lines])
    return Release(
        root=destination,
        registered_name=evidence.registered_name,
        source=source,
        terms=terms,
        manifest_digest=manifest.digest(),
        policy_digest=decision.policy_digest,
        evidence_digest=decision.evidence_digest,
        signed_by=signer.key.key_id,
        files=len(manifest.files),
        size=manifest.total_size,
    )


def _check(
    evidence: Evidence,
    decision: Decision,
    policy: Policy,
    terms: Terms,
    trust: Trust,
    signer: Signer,
    approvals: tuple[Approval, ...],
) -> tuple[Source, Staged]:
    """Every reason not to sign; returns the source identity to sign and the files."""
    again = decide(evidence, policy, terms.issued_at, approvals)
    listing, staged = evidence.listing, evidence.staged
    if decision.verdict is not Verdict.ADMIT:
        raise _refuses(f"the decision is {decision.verdict.value}")
    if again != decision.model_copy(update={"decided_at": terms.issued_at}):
        raise _refuses("deciding again on this evidence under this policy gives another decision")
    if listing is None or staged is None or not staged.files:
        raise _refuses("the evidence names no commit or no staged files")
    if evidence.out_of_scope or evidence.refusals:
        raise _refuses("the evidence is of a partial or refused examination")
    if evidence.registered_name != registered_name(evidence.candidate.id):
        raise _refuses("the registered name is not that of the candidate")
    if decision.policy_digest not in trust.policies:
        raise _refuses(f"policy {policy.name!r} ({decision.policy_digest}) is not in the trust file")
    if signer.key not in trust.keys:
        raise _refuses("the signing key is not in the trust file")
    validity = terms.expires_at - terms.issued_at
    if not timedelta(0) < validity <= timedelta(days=policy.statement_days):
        raise _refuses(f"the policy allows statements {policy.statement_days} days of validity")
    candidate = evidence.candidate
    source = Source(kind=candidate.kind, endpoint=candidate.endpoint, id=candidate.id, commit=listing.commit)
    return source, staged


def _refuses(detail: str) -> Refused:
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


def _conversion(source: Source, evidence: Evidence, staged: Staged, trust: Trust) -> said.Conversion:
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
            builder=said.Builder(id=trust.verifier, version={"registry-gate": evidence.gate_version}),
            registry_gate_tensors=staged.tensors,
        ),
    )


def _verdict(
    grant: said.Grant,
    decision: Decision,
    trust: Trust,
    evidence: Evidence,
    inputs: list[tuple[str, bytes]],
) -> said.Verdict:
    return said.Verdict(
        verifier=said.Verifier(id=trust.verifier, version={"registry-gate": evidence.gate_version}),
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


def _write(
    staged: Staged, manifest: Manifest, destination: Path, model_sig: bytes, lines: list[bytes]
) -> None:
    try:
        destination.mkdir(mode=0o700, parents=True)
        for file in manifest.files:
            target = destination / MODEL_FOLDER / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(staged.root / file.name, target)
        (destination / "attestations").mkdir()
        _write_synced(destination / MODEL_SIG, model_sig)
        _write_synced(destination / STATEMENTS, b"".join(line + b"\n" for line in lines))
    except FileExistsError as error:
        raise UsageError("release-exists", f"{destination} is there already") from error
    except OSError as error:
        raise ToolError(
            "release-not-written", f"{destination}: {error}", todo="make room, run again"
        ) from error


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
