"""The signer: judges once more, then turns Staged into a Release and signs what it says about it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from registry_gate.candidate import registered_name
from registry_gate.decision import Decision, Verdict, decide
from registry_gate.errors import Refused, ToolError, UsageError
from registry_gate.evidence import Evidence, Staged
from registry_gate.finding import CheckResult, Status
from registry_gate.policy import Policy
from registry_gate.record import Record, canonical_json
from registry_gate.release import BOM_FILE, Manifest, Release, Source, Terms
from registry_gate.report import bom as bill
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
_OF_WEIGHTS = frozenset({"weight-values", "final-rows", "low-bits"})


@dataclass(frozen=True)
class Standing:
    """What an earlier Release holds, verified: its manifest, and the bytes of its ``bom.cdx.json``."""

    manifest: Manifest
    bill_of_materials: bytes


@dataclass(frozen=True)
class Attestations:
    """The bytes of ``attestations/``, and the terms they were signed under."""

    model_sig: bytes
    statements: bytes
    source: Source
    terms: Terms


def sign_release(
    evidence: Evidence,
    decision: Decision,
    policy: Policy,
    *,
    terms: Terms,
    signer: Signer,
    trust: Trust,
    destination: Path,
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

    Raises:
        Refused: ``signer-refuses`` when anything above does not hold.
        VerificationError: ``bad-manifest`` when a staged name may not stand in a Release.
        UsageError: ``release-exists``.
        ToolError: ``release-not-written``.
    """
    source, staged = _check(evidence, decision, policy, terms, trust, signer)
    written = bill.render(evidence, decision.decided_at).encode("ascii")
    manifest = manifest_of(staged, {BOM_FILE: written})
    made = _attest(evidence, decision, source, Standing(manifest, written), terms, trust, signer)
    _write(staged, written, destination, made)
    return _released(destination, evidence, decision, made, manifest, signer)


def sign_renewal(
    evidence: Evidence,
    decision: Decision,
    policy: Policy,
    *,
    standing: Standing,
    terms: Terms,
    signer: Signer,
    trust: Trust,
    destination: Path,
) -> Release:
    """Sign fresh statements over the files of an earlier Release, which lie in ``destination / "model"``.

    Args:
        evidence: the stored record, judged again; it must describe exactly the files that stand.
        decision: as for :func:`sign_release`, of today.
        policy: the policy of the decision.
        standing: the earlier Release's files; its bill of materials says what is inside, which stays.
        terms: a new sequence number and validity.
        signer: the private key.
        trust: as for :func:`sign_release`.
        destination: holds ``model`` and nothing else.

    Raises:
        Refused: ``signer-refuses``.
        ToolError: ``release-not-written``.
    """
    source, staged = _check(evidence, decision, policy, terms, trust, signer)
    if manifest_of(staged, {BOM_FILE: standing.bill_of_materials}) != standing.manifest:
        raise _refuses("the evidence is not of the files that are to be signed again")
    made = _attest(evidence, decision, source, standing, terms, trust, signer)
    try:
        _write_attestations(destination, made)
    except OSError as error:
        raise _not_written(destination, error) from error
    return _released(destination, evidence, decision, made, standing.manifest, signer)


def _attest(
    evidence: Evidence,
    decision: Decision,
    source: Source,
    standing: Standing,
    terms: Terms,
    trust: Trust,
    signer: Signer,
) -> Attestations:
    """Every statement about one manifest, signed; the verdict last, naming all the others."""
    manifest = standing.manifest
    about = subject(evidence.registered_name, manifest.digest())
    model_subject, model_predicate = model_signature(manifest)
    signature = payload(model_subject, said.MODEL_SIGNATURE, model_predicate)
    statements = _statements(about, manifest, _conversion(source, evidence, trust), evidence, decision)
    contents = json.loads(standing.bill_of_materials)
    statements.append((said.BILL_OF_MATERIALS, payload(about, said.BILL_OF_MATERIALS, contents)))
    grant = said.Grant(
        registered_name=evidence.registered_name,
        source=source,
        terms=terms,
        evidence_digest=decision.evidence_digest,
    )
    verdict = _verdict(grant, decision, trust, evidence, [(said.MODEL_SIGNATURE, signature), *statements])
    lines = [data for _, data in statements] + [payload(about, said.VERDICT, verdict)]
    sealed = b"".join(seal(line, signer) + b"\n" for line in lines)
    return Attestations(seal(signature, signer), sealed, source, terms)


def _released(
    root: Path,
    evidence: Evidence,
    decision: Decision,
    made: Attestations,
    manifest: Manifest,
    signer: Signer,
) -> Release:
    return Release(
        root=root,
        registered_name=evidence.registered_name,
        source=made.source,
        terms=made.terms,
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
) -> tuple[Source, Staged]:
    """Every reason not to sign; returns the source identity to sign and the files."""
    again = decide(evidence, policy, terms.issued_at)
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
    if terms.issued_at - evidence.observed_at > timedelta(days=policy.evidence_days):
        raise _refuses(f"the policy allows evidence {policy.evidence_days} days of age")
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


def _conversion(source: Source, evidence: Evidence, trust: Trust) -> said.Conversion:
    staged = evidence.staged or Staged(files=(), tensors=())
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
            builder=said.Builder(id=trust.verifier, version={"registry-gate": evidence.gate_version}),
            metadata=said.BuildMetadata(
                invocation_id=evidence.digest(), started_on=evidence.observed_at.astimezone(UTC)
            ),
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


def _write(staged: Staged, bill_of_materials: bytes, destination: Path, made: Attestations) -> None:
    try:
        destination.mkdir(mode=0o700, parents=True)
        for file in staged.files:
            target = destination / MODEL_FOLDER / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(staged.root / file.name, target)
        _write_synced(destination / MODEL_FOLDER / BOM_FILE, bill_of_materials)
        _write_attestations(destination, made)
    except FileExistsError as error:
        raise UsageError("release-exists", f"{destination} is there already") from error
    except OSError as error:
        raise _not_written(destination, error) from error


def _write_attestations(destination: Path, made: Attestations) -> None:
    (destination / "attestations").mkdir(mode=0o700)
    _write_synced(destination / MODEL_SIG, made.model_sig)
    _write_synced(destination / STATEMENTS, made.statements)


def _not_written(destination: Path, error: OSError) -> ToolError:
    return ToolError("release-not-written", f"{destination}: {error}", todo="make room, run again")


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
