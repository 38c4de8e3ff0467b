"""What is signed is what the standards say: by schemas made from their texts, and by in-toto's messages."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.predicates.vsa.v1.vsa_pb2 import VerificationSummary
from in_toto_attestation.v1.statement import Statement as StatementMessage
from in_toto_attestation.v1.statement_pb2 import Statement as RawStatement

from registry_gate.decision import decide
from registry_gate.evidence import Evidence
from registry_gate.release import Terms
from registry_gate.signing.sign import sign_release
from registry_gate.testing.sample_release import FILES, SampleGate, an_hour_ago
from tests.report.rich_evidence import evidence_of
from tests.signing.statement_schemas import PREDICATES, STATEMENT

Json = dict[str, Any]
VERDICT = "https://slsa.dev/verification_summary/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
CONVERSION = "https://slsa.dev/provenance/v1"
_MESSAGES: dict[str, type[Message]] = {
    VERDICT: VerificationSummary,
    TEST_RESULT: test_result_pb2.TestResult,
    CONVERSION: Provenance,
}


@pytest.fixture(scope="module")
def statements(gate: SampleGate, tmp_path_factory: pytest.TempPathFactory) -> list[Json]:
    """Of a Release whose evidence holds findings, behaviour and statistics."""
    folder = tmp_path_factory.mktemp("specification")
    evidence = _measured(gate.evidence(folder / "staged", "acme/tiny", FILES, "a" * 40))
    issued = an_hour_ago()
    release = sign_release(
        evidence,
        decide(evidence, gate.policy, issued),
        gate.policy,
        terms=Terms(sequence=1, issued_at=issued, expires_at=issued + timedelta(days=30)),
        signer=gate.authority,
        trust=gate.trust,
        destination=folder / "release",
    )
    return _payloads(release.root)


def _measured(evidence: Evidence) -> Evidence:
    rich = evidence_of()
    results = {item.name: item for item in (*evidence.results, *rich.results) if item.name in _SIGNED}
    return evidence.model_copy(update={"behaviour": rich.behaviour, "results": tuple(results.values())})


_SIGNED = ("repo-name", "file-formats", "weight-values", "licence")


def _payloads(root: Path) -> list[Json]:
    lines = (root / "attestations/statements.jsonl").read_bytes().splitlines()
    bundles = [json.loads(line) for line in [(root / "attestations/model.sig").read_bytes(), *lines]]
    return [json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"])) for bundle in bundles]


def of_type(statements: list[Json], kind: str) -> list[Json]:
    found = [item["predicate"] for item in statements if item["predicateType"] == kind]
    assert found
    return found


def standard_only(value: object) -> object:
    """Without extension fields, which every consumer passes over."""
    if isinstance(value, dict):
        return {name: standard_only(item) for name, item in value.items() if "_" not in name}
    return [standard_only(item) for item in value] if isinstance(value, list) else value


def test_every_statement_is_an_in_toto_statement(statements: list[Json]) -> None:
    for statement in statements:
        jsonschema.validate(statement, STATEMENT)
        message = json_format.ParseDict(statement, RawStatement())
        StatementMessage.copy_from_pb(message).validate()


@pytest.mark.parametrize("kind", PREDICATES)
def test_predicates_obey_the_texts(kind: str, statements: list[Json]) -> None:
    for predicate in of_type(statements, kind):
        jsonschema.validate(predicate, PREDICATES[kind])


@pytest.mark.parametrize("kind", _MESSAGES)
def test_in_totos_own_messages_read_every_standard_field(kind: str, statements: list[Json]) -> None:
    for predicate in of_type(statements, kind):
        said = standard_only(predicate)
        if kind == CONVERSION:  # free-form by the text: our own record of the source
            assert isinstance(said, dict)
            said["buildDefinition"]["externalParameters"] = {}
        if kind == VERDICT:  # in-toto 0.9.3 is behind SLSA's text: one string for the levels, no version
            assert isinstance(said, dict)
            (said["verifiedLevels"],) = said["verifiedLevels"]
            del said["verifier"]["version"]
        message = json_format.ParseDict(said, _MESSAGES[kind]())  # an unknown field is an error here
        assert json_format.MessageToDict(message)


def _misspell(predicate: Json) -> None:
    predicate["timeverified"] = predicate.pop("timeVerified")


def _claim_slsa(predicate: Json) -> None:
    predicate["verifiedLevels"] = ["SLSA_BUILD_LEVEL_4"]


def _nothing_named(predicate: Json) -> None:
    predicate["policy"] = {"name": "default"}


@pytest.mark.parametrize("spoil", [_misspell, _claim_slsa, _nothing_named])
def test_the_schemas_notice_what_is_wrong(spoil: Callable[[Json], None], statements: list[Json]) -> None:
    (predicate,) = copy.deepcopy(of_type(statements, VERDICT))
    spoil(predicate)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(predicate, PREDICATES[VERDICT])


def test_a_check_is_signed_with_all_that_it_measured(
    gate: SampleGate, statements: list[Json], tmp_path: Path
) -> None:
    measured = [item["registryGate_measured"] for item in of_type(statements, TEST_RESULT)]
    by_name = {item["check"]["name"]: item for item in measured}
    (conversion,) = of_type(statements, CONVERSION)
    assert by_name["licence"]["check"]["measurements"]["spdx"] == "Apache-2.0"
    assert by_name["weight-values"]["statistics"].startswith("sha256:")
    assert by_name["repo-name"]["statistics"] is None
    assert conversion["runDetails"]["registryGate_tensors"]


def test_the_verdict_names_every_other_statement(statements: list[Json]) -> None:
    (verdict,) = of_type(statements, VERDICT)
    named = [item["uri"].partition("#")[0] for item in verdict["inputAttestations"]]
    assert named == [item["predicateType"] for item in statements[:-1]]
    assert "https://cyclonedx.org/bom" in named
