from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from registry_gate.decision import Verdict, decide
from registry_gate.errors import Refused, UsageError, VerificationError
from registry_gate.evidence import Evidence, Problem
from registry_gate.finding import CheckResult, Confidence, Finding, Severity, Status
from registry_gate.release import BOM_FILE, Release, Terms
from registry_gate.signing.authority import Authority
from registry_gate.signing.seal import KeySealer
from registry_gate.signing.sign import sign_release
from registry_gate.signing.verify import verify_release
from registry_gate.testing.sample_release import (
    FILES,
    SampleGate,
    an_hour_ago,
    sample_gate,
    sample_policy,
)

CLI = Path(sys.executable).with_name("model_signing")


def model_signing(root: Path, gate: SampleGate) -> subprocess.CompletedProcess[str]:
    command = [
        str(CLI),
        "verify",
        "key",
        str(root / "model"),
        "--signature",
        str(root / "attestations/model.sig"),
        "--public_key",
        str(gate.settings.keys / "signing-key.pub.pem"),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_public_tool_verifies_a_release(release: Path, gate: SampleGate) -> None:
    done = model_signing(release, gate)
    assert (done.returncode, "succeeded" in done.stdout) == (0, True), done.stderr


def test_the_public_tool_refuses_a_changed_release(release: Path, gate: SampleGate) -> None:
    (release / "model/config.json").write_bytes(b"{}")
    assert model_signing(release, gate).returncode != 0


def test_our_model_signature_says_what_the_public_tool_signs(gate: SampleGate, tmp_path: Path) -> None:
    """Path order, names with spaces and beyond ASCII, empty files, folders: the same list and root digest."""
    files = {
        "b.json": b"{}",
        "b/inner.txt": b"1",
        "b-2.txt": b"2",
        "B.txt": b"3",
        "empty.txt": b"",
        "ünïcode name.txt": b"4",
    }
    root = gate.release(tmp_path, files=files).root
    theirs = tmp_path / "theirs.sig"
    command = [str(CLI), "sign", "key", str(root / "model"), "--signature", str(theirs)]
    command += ["--private_key", str(gate.settings.keys / "signing-key.pem")]
    subprocess.run(command, capture_output=True, check=True)
    assert model_signing(root, gate).returncode == 0
    ours, other = statement(root / "attestations/model.sig"), statement(theirs)
    assert ours["subject"] == other["subject"]
    assert ours["predicate"]["resources"] == other["predicate"]["resources"]
    assert ours["predicate"]["serialization"]["ignore_paths"] == []
    assert hint(root / "attestations/model.sig") == hint(theirs)


def statement(path: Path) -> dict[str, dict[str, dict[str, object]]]:
    bundle = json.loads(path.read_bytes())
    payload: dict[str, dict[str, dict[str, object]]] = json.loads(
        base64.b64decode(bundle["dsseEnvelope"]["payload"])
    )
    return payload


def hint(path: Path) -> str:
    value: str = json.loads(path.read_bytes())["verificationMaterial"]["publicKey"]["hint"]
    return value


def test_the_statements_are_of_the_agreed_types(release: Path) -> None:
    lines = (release / "attestations/statements.jsonl").read_bytes().splitlines()
    payloads = [json.loads(base64.b64decode(json.loads(line)["dsseEnvelope"]["payload"])) for line in lines]
    assert [payload["predicateType"] for payload in payloads] == [
        "urn:registry-gate:manifest:v1",
        "https://in-toto.io/attestation/test-result/v0.1",
        "https://in-toto.io/attestation/test-result/v0.1",
        "https://slsa.dev/provenance/v1",
        "https://cyclonedx.org/bom",
        "https://slsa.dev/verification_summary/v1",
    ]
    assert len({json.dumps(payload["subject"]) for payload in payloads}) == 1
    manifest, _, _, conversion, bill, verdict = (payload["predicate"] for payload in payloads)
    assert [file["name"] for file in manifest["files"]] == sorted([*FILES, BOM_FILE])
    assert {file["name"]: file["sha256"] for file in manifest["files"]} == {
        **{name: sha256(data).hexdigest() for name, data in FILES.items()},
        BOM_FILE: sha256((release / "model" / BOM_FILE).read_bytes()).hexdigest(),
    }
    assert bill == json.loads((release / "model" / BOM_FILE).read_bytes())
    assert conversion["runDetails"]["registryGate_tensors"][0]["staged_blake3"]
    assert conversion["buildDefinition"]["resolvedDependencies"][0]["name"] == "config.json"
    assert verdict["verificationResult"] == "PASSED"
    assert verdict["resourceUri"] == "https://hub.example/acme/tiny@" + "a" * 40


def test_findings_below_the_bars_are_signed_as_warnings(gate: SampleGate, tmp_path: Path) -> None:
    low = Finding(rule="small", severity=Severity.LOW, confidence=Confidence.HIGH, message="a small thing")
    evidence = evidence_of(gate, tmp_path)
    result = CheckResult(name="file-formats", version=1, status=Status.FINDINGS, findings=(low,))
    evidence = evidence.model_copy(update={"results": (evidence.results[0], result)})
    root = signed(gate, evidence, tmp_path).root
    verify_release(root, gate.trust)
    line = (root / "attestations/statements.jsonl").read_bytes().splitlines()[2]
    predicate = json.loads(base64.b64decode(json.loads(line)["dsseEnvelope"]["payload"]))["predicate"]
    assert (predicate["result"], predicate["warnedTests"]) == ("WARNED", ["small"])
    assert predicate["registryGate_measured"]["check"]["findings"][0]["message"] == "a small thing"


def evidence_of(gate: SampleGate, folder: Path, files: dict[str, bytes] | None = None) -> Evidence:
    return gate.evidence(folder / "staged", "acme/tiny", FILES if files is None else files, "a" * 40)


def signed(gate: SampleGate, evidence: Evidence, folder: Path, **changes: object) -> Release:
    issued = an_hour_ago()
    policy = gate.policy
    arguments: dict[str, object] = {
        "terms": Terms(sequence=1, issued_at=issued, expires_at=issued + timedelta(days=30)),
        "signer": gate.authority,
        "trust": gate.trust,
        "destination": folder / "release",
        "decision": decide(evidence, policy, issued),
        "policy": policy,
    }
    arguments |= changes
    return sign_release(evidence, **arguments)  # type: ignore[arg-type]


def refuses(gate: SampleGate, evidence: Evidence, folder: Path, **changes: object) -> str:
    with pytest.raises(Refused) as caught:
        signed(gate, evidence, folder, **changes)
    assert not (folder / "release").exists()
    assert sorted(path.name for path in (folder / "staged").iterdir()) == sorted(
        {name.partition("/")[0] for name in FILES}
    )
    assert caught.value.code == "signer-refuses"
    return caught.value.message


def test_a_rejection_is_not_signed(gate: SampleGate, tmp_path: Path) -> None:
    evidence = evidence_of(gate, tmp_path).model_copy(update={"results": ()})
    assert "review" in refuses(gate, evidence, tmp_path)


def test_a_decision_that_was_changed_is_not_signed(gate: SampleGate, tmp_path: Path) -> None:
    evidence = evidence_of(gate, tmp_path).model_copy(update={"results": ()})
    forged = decide(evidence, gate.policy, an_hour_ago())
    forged = forged.model_copy(update={"verdict": Verdict.ADMIT, "reasons": ()})
    assert "deciding again" in refuses(gate, evidence, tmp_path, decision=forged)


def test_a_decision_on_other_evidence_is_not_signed(gate: SampleGate, tmp_path: Path) -> None:
    evidence = evidence_of(gate, tmp_path)
    other = evidence.model_copy(update={"gate_version": "9"})
    decision = decide(other, gate.policy, an_hour_ago())
    assert "deciding again" in refuses(gate, evidence, tmp_path, decision=decision)


def test_a_policy_off_the_trust_file_is_not_signed(gate: SampleGate, tmp_path: Path) -> None:
    evidence, policy = evidence_of(gate, tmp_path), sample_policy("lenient")
    decision = decide(evidence, policy, an_hour_ago())
    assert "trust file" in refuses(gate, evidence, tmp_path, decision=decision, policy=policy)


def test_a_key_off_the_trust_file_does_not_sign(gate: SampleGate, tmp_path: Path) -> None:
    other = Authority(KeySealer(sample_gate(tmp_path / "other").signer), gate.trust)
    assert "signing key" in refuses(gate, evidence_of(gate, tmp_path), tmp_path, signer=other)


@pytest.mark.parametrize("days", [-1, 0, 366])
def test_validity_beyond_the_policy_is_not_signed(days: int, gate: SampleGate, tmp_path: Path) -> None:
    issued = an_hour_ago()
    terms = Terms(sequence=1, issued_at=issued, expires_at=issued + timedelta(days=days))
    assert "validity" in refuses(gate, evidence_of(gate, tmp_path), tmp_path, terms=terms)


@pytest.mark.parametrize(
    "update",
    [
        {"out_of_scope": ("convertible",)},
        {"refusals": (Problem(code="bytes-differ", detail="x"),)},
        {"registered_name": "acme--other"},
        {"listing": None},
        {"staged": None},
    ],
)
def test_evidence_of_less_than_an_admission_is_not_signed(
    update: dict[str, object], gate: SampleGate, tmp_path: Path
) -> None:
    evidence = evidence_of(gate, tmp_path)
    refuses(gate, evidence.model_copy(update=update), tmp_path)


@pytest.mark.parametrize("names", [(".gitattributes",), ("A.txt", "a.txt"), ("a\\b.txt",)])
def test_names_that_may_not_stand_in_a_release_are_not_signed(
    names: tuple[str, ...], gate: SampleGate, tmp_path: Path
) -> None:
    evidence = evidence_of(gate, tmp_path, dict.fromkeys(names, b"x"))
    with pytest.raises(VerificationError) as caught:
        signed(gate, evidence, tmp_path)
    assert caught.value.code == "bad-manifest"
    assert not (tmp_path / "release").exists()


def test_an_existing_folder_is_not_overwritten(gate: SampleGate, tmp_path: Path) -> None:
    (tmp_path / "release").mkdir()
    with pytest.raises(UsageError) as caught:
        signed(gate, evidence_of(gate, tmp_path), tmp_path)
    assert caught.value.code == "release-exists"


def test_bytes_changed_between_staging_and_signing_do_not_verify(gate: SampleGate, tmp_path: Path) -> None:
    """The signature is made from staged digests; verifying what was just signed finds the difference."""
    evidence = evidence_of(gate, tmp_path)
    (tmp_path / "staged/config.json").write_bytes(b"{}")
    root = signed(gate, evidence, tmp_path).root
    with pytest.raises(VerificationError) as caught:
        verify_release(root, gate.trust)
    assert caught.value.code == "bytes-differ"
