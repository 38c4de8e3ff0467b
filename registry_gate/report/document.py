"""The document every report renders: what was decided, why, on what evidence, and where things lie."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from pydantic import Field

from registry_gate.candidate import SourceKind
from registry_gate.decision import Decision, Verdict
from registry_gate.evidence import BehaviourMeasurement, Evidence, Staged, TensorMeasurement
from registry_gate.finding import CheckResult, Finding, Scalar, Status
from registry_gate.record import Record
from registry_gate.release import Receipt, Verified

MAX_TENSORS = 400


class CandidateSection(Record):
    """What was judged: the id means something only together with kind, endpoint and commit."""

    kind: SourceKind
    endpoint: str
    id: str
    revision: str | None
    commit: str | None


class CheckSection(Record):
    """One check without its findings, which stand in the report's own list."""

    name: str
    version: int
    status: Status
    reason: str
    seconds: float | None
    measurements: dict[str, Scalar]


class ReasonSection(Record):
    """One thing that moved the verdict."""

    code: str
    verdict: Verdict
    message: str
    waived_by: str | None


class ReleaseSection(Record):
    """What was signed."""

    registered_name: str
    manifest_digest: str
    sequence: int
    key_id: str
    expires_at: datetime
    files: int
    bytes: int


class ReceiptSection(Record):
    """Where the registry keeps it; ``reused`` when an earlier admission was verified and found whole."""

    registry_uri: str
    version: int
    alias: str
    alias_current: bool
    reused: bool


class PolicySection(Record):
    """Under which rules: the policy's name and the sha256 of its canonical JSON."""

    name: str
    sha256: str


class TensorSection(Record):
    """One tensor: its largest magnitude and its spread, None where it has no finite element."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    magnitude: float | None
    std: float | None


class WeightsSection(Record):
    """The staged weights in numbers.

    ``octaves`` are (k, elements with a magnitude from 2**k to below 2**(k + 1)) over all tensors; ``tensors``
    are in the order of the files, or where there are more than ``MAX_TENSORS`` those of largest magnitude.
    """

    count: int
    elements: int
    not_finite: int
    zeros: int
    dtypes: dict[str, int]
    octaves: tuple[tuple[int, int], ...]
    tensors: tuple[TensorSection, ...]


class Report(Record):
    """One admission or scan, as ``--format json`` prints it and every other format renders it.

    ``subject`` is what was asked for, as it was typed: the id, or the path of a folder or file.
    """

    schema_version: int = 1
    command: str
    subject: str
    verdict: Verdict
    gate_version: str
    observed_at: datetime
    candidate: CandidateSection
    reasons: tuple[ReasonSection, ...]
    findings: tuple[Finding, ...]
    checks: tuple[CheckSection, ...]
    behaviour: tuple[BehaviourMeasurement, ...]
    weights: WeightsSection | None = None
    task: str | None
    sandbox: str | None
    left_behind: tuple[tuple[str, str], ...]
    release: ReleaseSection | None
    receipt: ReceiptSection | None
    policy: PolicySection
    evidence_digest: str
    seconds: dict[str, float] = Field(default_factory=dict)
    folder: str | None = None
    notes: tuple[str, ...] = ()


def make_report(
    command: str,
    evidence: Evidence,
    decision: Decision,
    *,
    subject: str,
    seconds: dict[str, float],
    registered: tuple[ReleaseSection, ReceiptSection] | None = None,
    folder: str | None = None,
    notes: tuple[str, ...] = (),
) -> Report:
    """Assemble the document from what was seen and decided."""
    behaviour = evidence.behaviour
    candidate = evidence.candidate
    return Report(
        command=command,
        subject=subject,
        verdict=decision.verdict,
        gate_version=evidence.gate_version,
        observed_at=evidence.observed_at,
        candidate=CandidateSection(
            kind=candidate.kind,
            endpoint=candidate.endpoint,
            id=candidate.id,
            revision=candidate.revision,
            commit=evidence.listing.commit if evidence.listing else None,
        ),
        reasons=tuple(ReasonSection(**reason.model_dump()) for reason in decision.reasons),
        findings=tuple(finding for result in evidence.results for finding in result.findings),
        checks=tuple(_check_section(result) for result in evidence.results),
        behaviour=behaviour.tests if behaviour else (),
        weights=_weights(evidence.staged) if evidence.staged else None,
        task=behaviour.structure.task if behaviour else None,
        sandbox=evidence.facts.sandbox.mode if evidence.facts else None,
        left_behind=evidence.weight_set.left_behind if evidence.weight_set else (),
        release=registered[0] if registered else None,
        receipt=registered[1] if registered else None,
        policy=PolicySection(
            name=decision.policy_name, sha256=decision.policy_digest.removeprefix("sha256:")
        ),
        evidence_digest=decision.evidence_digest,
        seconds={name: round(value, 3) for name, value in seconds.items()},
        folder=folder,
        notes=notes,
    )


def release_section(verified: Verified) -> ReleaseSection:
    """The report's view of what was signed."""
    return ReleaseSection(
        registered_name=verified.name,
        manifest_digest=verified.manifest_digest,
        sequence=verified.sequence,
        key_id=verified.signed_by,
        expires_at=verified.expires_at,
        files=verified.files,
        bytes=verified.size,
    )


def receipt_section(receipt: Receipt, *, alias_current: bool, reused: bool) -> ReceiptSection:
    """The report's view of the registry's address."""
    return ReceiptSection(
        registry_uri=receipt.registry_uri,
        version=receipt.version,
        alias=receipt.alias,
        alias_current=alias_current,
        reused=reused,
    )


def _weights(staged: Staged) -> WeightsSection:
    tensors = staged.tensors
    octaves: Counter[int] = Counter()
    for tensor in tensors:
        for octave, negative, positive in tensor.histogram:
            octaves[octave] += negative + positive
    return WeightsSection(
        count=len(tensors),
        elements=sum(tensor.elements for tensor in tensors),
        not_finite=sum(tensor.nan + tensor.inf for tensor in tensors),
        zeros=sum(tensor.zeros for tensor in tensors),
        dtypes=dict(sorted(Counter(tensor.dtype for tensor in tensors).items())),
        octaves=tuple(sorted(octaves.items())),
        tensors=_shown(tuple(_tensor(tensor) for tensor in tensors)),
    )


def _shown(tensors: tuple[TensorSection, ...]) -> tuple[TensorSection, ...]:
    if len(tensors) <= MAX_TENSORS:
        return tensors
    largest = sorted(range(len(tensors)), key=lambda at: -(tensors[at].magnitude or 0.0))[:MAX_TENSORS]
    return tuple(tensors[at] for at in sorted(largest))


def _tensor(tensor: TensorMeasurement) -> TensorSection:
    ends = [abs(value) for value in (tensor.minimum, tensor.maximum) if value is not None]
    return TensorSection(
        name=tensor.name,
        dtype=tensor.dtype,
        shape=tensor.shape,
        magnitude=max(ends, default=None),
        std=tensor.std,
    )


def _check_section(result: CheckResult) -> CheckSection:
    return CheckSection(
        name=result.name,
        version=result.version,
        status=result.status,
        reason=result.reason,
        seconds=result.seconds,
        measurements=result.measurements,
    )
