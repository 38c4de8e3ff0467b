"""Who signed what, against the digests the gate took: what differs is found, a stranger weighs nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from registry_gate.candidate import Candidate, SnapshotFile, SourceKind
from registry_gate.checks import publisher_signature as check
from registry_gate.decision import disposition
from registry_gate.evidence import Evidence, PublisherSignature
from registry_gate.finding import Status
from registry_gate.policy import Disposition, Policy, Publisher, load_policy

ACME = Publisher(name="acme", models=("acme/*",), key="a key", required=True)
BYTES = {"model.safetensors": "1" * 64, "config.json": "2" * 64}
SIGNED = PublisherSignature(
    path="model.sig",
    status="signed",
    publisher="acme",
    proven_by=ACME.digest(),
    method="key",
    signer="k",
    files=tuple(sorted(BYTES.items())),
)
STRANGER = PublisherSignature(path="model.sig", status="stranger", code="untrusted-key")
BROKEN = PublisherSignature(path="model.sig", status="invalid", code="bad-signature", detail="no match")


def policy_of(*publishers: Publisher) -> Policy:
    policy = load_policy("default")
    provenance = policy.provenance.model_copy(update={"publishers": publishers})
    return policy.model_copy(update={"provenance": provenance})


def evidence_of(
    *signatures: PublisherSignature, files: dict[str, str] | None = None, model_id: str = "acme/tiny"
) -> Evidence:
    found = {**(BYTES if files is None else files), **{item.path: "9" * 64 for item in signatures}}
    return Evidence(
        gate_version="0",
        observed_at=datetime(2026, 1, 1, tzinfo=UTC),
        candidate=Candidate(kind=SourceKind.HUB, endpoint="https://huggingface.co", id=model_id),
        registered_name="x",
        snapshot=tuple(SnapshotFile(path=path, size=1, sha256=digest) for path, digest in found.items()),
        signatures=signatures,
    )


def rules(evidence: Evidence, policy: Policy) -> list[str]:
    return [finding.rule for finding in check.run(evidence, policy).findings]


def test_a_publishers_signature_over_these_bytes_is_the_strongest_evidence() -> None:
    result = check.run(evidence_of(SIGNED), policy_of(ACME))
    assert result.status is Status.NO_FINDINGS
    told = result.measurements
    assert (told["publisher"], told["method"], told["signer"], told["files-signed"]) == (
        "acme",
        "key",
        "k",
        2,
    )


def test_gits_own_settings_need_no_signature() -> None:
    assert rules(evidence_of(SIGNED, files={**BYTES, ".gitattributes": "3" * 64}), policy_of(ACME)) == []


@pytest.mark.parametrize(
    "files",
    [
        {**BYTES, "config.json": "0" * 64},
        {"model.safetensors": "1" * 64},
        {},
    ],
)
def test_other_bytes_than_were_signed_reject(files: dict[str, str]) -> None:
    found = check.run(evidence_of(SIGNED, files=files), policy_of(ACME)).findings
    assert [item.rule for item in found] == ["publisher-signature-invalid", "publisher-signature-missing"]
    assert all(disposition(item, load_policy("default")) is Disposition.REJECT for item in found)


def test_a_file_added_beside_the_signed_ones_goes_to_a_person() -> None:
    evidence = evidence_of(SIGNED, files={**BYTES, "tokenizer.json": "3" * 64})
    (finding,) = check.run(evidence, policy_of(ACME)).findings
    assert finding.rule == "publisher-signature-incomplete"
    assert "'tokenizer.json'" in finding.message
    assert disposition(finding, load_policy("default")) is Disposition.REVIEW


def test_a_broken_signature_rejects_whoever_is_expected() -> None:
    assert rules(evidence_of(BROKEN), policy_of()) == ["publisher-signature-invalid"]


def test_a_stranger_is_recorded_and_weighs_nothing() -> None:
    result = check.run(evidence_of(STRANGER), policy_of())
    assert (result.status, result.measurements["strangers"]) == (Status.NO_FINDINGS, 1)
    assert result.measurements["publisher"] is None
    assert rules(evidence_of(STRANGER), policy_of(ACME)) == ["publisher-signature-missing"]


def test_what_is_required_and_absent_rejects() -> None:
    assert rules(evidence_of(), policy_of(ACME)) == ["publisher-signature-missing"]
    optional = ACME.model_copy(update={"required": False})
    assert rules(evidence_of(), policy_of(optional)) == []
    assert check.run(evidence_of(model_id="other/tiny"), policy_of(ACME)).status is Status.NOT_APPLICABLE
    assert check.run(evidence_of(model_id="Acme/tiny"), policy_of(ACME)).status is Status.NOT_APPLICABLE


def test_one_of_two_expected_signers_is_enough() -> None:
    other = Publisher(name="acme-next", models=("acme/*",), key="the next key", required=True)
    assert rules(evidence_of(SIGNED), policy_of(other, ACME)) == []


def test_a_key_taken_out_of_the_policy_proves_nothing_when_judged_again() -> None:
    replaced = ACME.model_copy(update={"key": "another key"})
    assert rules(evidence_of(SIGNED), policy_of(replaced)) == ["publisher-signature-missing"]


def test_what_was_not_looked_at_did_not_look() -> None:
    unread = evidence_of().model_copy(update={"signatures": None})
    assert check.run(unread, policy_of(ACME)).status is Status.NOT_RUN


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"key": "k", "identity": "i", "issuer": "https://x"},
        {"identity": "i"},
        {"issuer": "https://x", "key": "k"},
        {"certificate": "URI:x"},
        {"roots": "r", "key": "k"},
        {"key": "k", "models": ()},
    ],
)
def test_a_publisher_is_known_in_exactly_one_way(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Publisher.model_validate({"name": "acme", "models": ("acme/*",), **fields})
