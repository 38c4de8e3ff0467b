"""What each signed statement says: the predicates of in-toto, SLSA and Model Signing that a Release carries.

Sources: slsa.dev/verification_summary/v1, in-toto.io/attestation/test-result/v0.1, slsa.dev/provenance/v1,
in-toto's ResourceDescriptor v1, model_signing/signature/v1.0. Extension fields are named as SLSA asks,
``<vendor>_<fieldname>``; none changes what a standard field means.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, ConfigDict, Field
from pydantic.alias_generators import to_camel

from registry_gate.candidate import Sha256
from registry_gate.evidence import BehaviourMeasurement, TensorMeasurement
from registry_gate.finding import CheckResult
from registry_gate.record import Record
from registry_gate.release import Digest, Source, Terms

MODEL_SIGNATURE = "https://model_signing/signature/v1.0"
MANIFEST = "urn:registry-gate:manifest:v1"
VERDICT = "https://slsa.dev/verification_summary/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
CONVERSION = "https://slsa.dev/provenance/v1"
BILL_OF_MATERIALS = "https://cyclonedx.org/bom"
BUILD_TYPE = "urn:registry-gate:conversion:v1"

_ALIASED = ConfigDict(serialize_by_alias=True)
_VENDOR = "registry_gate_"


def _wire_name(field: str) -> str:
    """The standards write names in camelCase, and extensions as vendor_fieldName."""
    if field.startswith(_VENDOR):
        return f"registryGate_{to_camel(field.removeprefix(_VENDOR))}"
    return to_camel(field)


_WIRE = ConfigDict(alias_generator=_wire_name, validate_by_name=True, serialize_by_alias=True)


class DigestSet(Record):
    """in-toto's map of digests, of which sha256 is used."""

    sha256: Sha256


class Resource(Record):
    """in-toto's ResourceDescriptor, as far as it is used."""

    model_config = _ALIASED

    name: str
    digest_: DigestSet = Field(alias="digest")


class Verifier(Record):
    """Who verified, and with which version of what."""

    id: str
    version: dict[str, str]


class PolicyReference(Record):
    """The policy by name and digest."""

    model_config = _ALIASED

    uri: str
    digest_: DigestSet = Field(alias="digest")


class Grant(Record):
    """What the gate adds to the SLSA verdict: the name and source admitted and for how long."""

    model_config = _WIRE

    registered_name: str
    source: Source
    terms: Terms
    evidence_digest: Digest


class InputAttestation(Record):
    """Another statement of the Release: its predicate type and the digest of its signed payload.

    A predicate type alone would name no one attestation, so ``uri`` ends in the digest too.
    """

    model_config = _ALIASED

    uri: str
    digest_: DigestSet = Field(alias="digest")


class Verdict(Record):
    """SLSA verification summary. ``input_attestations`` names every other statement by its payload."""

    model_config = _WIRE

    verifier: Verifier
    time_verified: AwareDatetime
    resource_uri: str
    policy: PolicyReference
    input_attestations: tuple[InputAttestation, ...]
    verification_result: Literal["PASSED", "FAILED"]
    verified_levels: tuple[str, ...]
    registry_gate_grant: Grant


class Measured(Record):
    """What one check judged: its own result, the behavioural test behind it, the statistics it looked at.

    ``statistics`` is the digest of the canonical JSON of every tensor's measurements, which the conversion
    carries in full.
    """

    check: CheckResult
    behaviour: BehaviourMeasurement | None = None
    statistics: Digest | None = None


class TestResult(Record):
    """in-toto test result of one check, with all that it measured as extension."""

    __test__ = False
    model_config = _WIRE

    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: tuple[Resource, ...]
    passed_tests: tuple[str, ...] = ()
    warned_tests: tuple[str, ...] = ()
    failed_tests: tuple[str, ...] = ()
    registry_gate_measured: Measured


class SourceFile(Record):
    """One source file of a conversion, as SLSA's resolved dependency."""

    model_config = _ALIASED

    uri: str
    name: str
    digest_: DigestSet = Field(alias="digest")


class Parameters(Record):
    """What fixed the conversion: where the model came from."""

    source: Source


class BuildDefinition(Record):
    """SLSA's build definition of the conversion."""

    model_config = _WIRE

    build_type: str = BUILD_TYPE
    external_parameters: Parameters
    resolved_dependencies: tuple[SourceFile, ...]


class Builder(Record):
    """Who converted."""

    id: str
    version: dict[str, str]


class BuildMetadata(Record):
    """Which conversion: named by the digest of its evidence, begun when the candidate was first looked at."""

    model_config = _WIRE

    invocation_id: Digest
    started_on: AwareDatetime


class RunDetails(Record):
    """Who converted, and the proof: for each tensor its bytes' digest on both sides."""

    model_config = _WIRE

    builder: Builder
    metadata: BuildMetadata
    registry_gate_tensors: tuple[TensorMeasurement, ...]


class Conversion(Record):
    """SLSA provenance of the staged files."""

    model_config = _WIRE

    build_definition: BuildDefinition
    run_details: RunDetails


class Serialization(Record):
    """How Model Signing walked the folder: whole files, nothing ignored, no links."""

    method: Literal["files"] = "files"
    hash_type: Literal["sha256"] = "sha256"
    allow_symlinks: Literal[False] = False
    ignore_paths: tuple[()] = ()


class SignedFile(Record):
    """One file in a Model Signing predicate."""

    model_config = _ALIASED

    name: str
    algorithm: Literal["sha256"] = "sha256"
    digest_: Sha256 = Field(alias="digest")


class ModelSignature(Record):
    """The predicate of ``model.sig``."""

    serialization: Serialization = Serialization()
    resources: tuple[SignedFile, ...]
