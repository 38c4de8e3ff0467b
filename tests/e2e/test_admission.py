"""The whole road: a benign model in, hostile ones refused, what changed afterwards refused at load."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from registry_gate import load_verified
from registry_gate.decision import Verdict
from registry_gate.errors import UsageError, VerificationError
from registry_gate.finding import Status
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.registry import Registry
from registry_gate.report import text
from registry_gate.report.document import Report
from registry_gate.signing.trust import effective_trust
from registry_gate.testing import hostile
from registry_gate.testing.hub import LoopbackHub
from registry_gate.testing.hub_messages import Tamper
from tests.e2e.conftest import ORDINARY, Gate


@pytest.fixture(scope="module")
def admitted(shared_gate: Gate) -> Report:
    return shared_gate.admit("acme-ml/tiny")


def test_a_benign_model_is_admitted_with_every_check_accounted_for(admitted: Report) -> None:
    statuses = {check.name: check.status for check in admitted.checks}
    assert admitted.verdict is Verdict.ADMIT, admitted.reasons
    assert admitted.reasons == ()
    assert set(statuses.values()) <= {Status.NO_FINDINGS, Status.FINDINGS, Status.NOT_APPLICABLE}
    assert statuses["mm-bd"] is Status.NOT_APPLICABLE
    assert admitted.task == "text-classification"
    assert admitted.sandbox in {"bubblewrap", "landlock"}
    assert admitted.release is not None
    assert admitted.receipt is not None
    assert admitted.receipt.alias == "approved"
    assert not admitted.receipt.reused


@pytest.mark.parametrize(
    "reference", ["acme-ml/tiny", "models:/acme-ml--tiny@approved", "models:/acme-ml--tiny/1"]
)
def test_what_is_loaded_equals_the_original(
    admitted: Report,
    shared_gate: Gate,
    text_classifier: Path,
    reference: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(shared_gate.settings.home))
    original = torch.load(text_classifier / "pytorch_model.bin", weights_only=True)  # the oracle
    loaded = load_verified(reference, into="state_dict")
    assert loaded.keys() == original.keys()
    assert all(torch.equal(loaded[name], original[name]) for name in original)


def test_the_loaded_model_runs(admitted: Report, shared_gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(shared_gate.settings.home))
    model = load_verified("acme-ml/tiny")
    inputs = model.processor("the film was great", return_tensors="pt")
    inputs.pop("token_type_ids", None)
    assert model(**inputs).logits.shape == (1, 2)
    assert not model.training


def test_the_public_tool_accepts_the_release(admitted: Report, shared_gate: Gate, tmp_path: Path) -> None:
    (version,) = Registry(shared_gate.settings.registry_uri).versions("acme-ml--tiny")
    release = Registry(shared_gate.settings.registry_uri).download(version.source_uri, tmp_path / "release")
    key = next(shared_gate.settings.keys.glob("*.pub*"))
    signature = release / "attestations" / "model.sig"
    tool = [sys.executable, "-m", "model_signing", "verify", "key", str(release / "model")]
    accepted = subprocess.run([*tool, "--signature", signature, "--public_key", key], capture_output=True)
    weights = release / "model" / "model.safetensors"
    weights.chmod(0o600)
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0\0")
    refused = subprocess.run([*tool, "--signature", signature, "--public_key", key], capture_output=True)
    assert accepted.returncode == 0, accepted.stderr
    assert refused.returncode != 0


def test_the_same_commit_twice_gives_one_version(admitted: Report, shared_gate: Gate) -> None:
    again = shared_gate.admit("acme-ml/tiny")
    assert again.verdict is Verdict.ADMIT
    assert again.receipt is not None
    assert again.receipt.reused
    assert len(Registry(shared_gate.settings.registry_uri).versions("acme-ml--tiny")) == 1
    trust = effective_trust(shared_gate.settings)
    kinds = [entry.body.kind for entry in AdmissionLog(shared_gate.settings.log, trust).entries()]
    assert kinds == ["decision", "signed", "receipt"]


def test_a_tampered_store_is_noticed_and_replaced(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(gate.settings.home))
    gate.admit("acme-ml/tiny")
    root = gate.settings.artifact_root
    assert root is not None
    (weights,) = root.rglob("model.safetensors")
    weights.chmod(0o600)
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    with pytest.raises(VerificationError) as refused:
        load_verified("acme-ml/tiny")
    assert refused.value.code == "bytes-differ"
    again = gate.admit("acme-ml/tiny")
    assert again.receipt is not None
    assert (again.receipt.version, again.receipt.reused) == (2, False)
    assert load_verified("acme-ml/tiny", into="state_dict")


def test_an_unsigned_model_under_the_alias_is_refused(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("REGISTRY_GATE_HOME", str(gate.settings.home))
    gate.admit("acme-ml/tiny")
    planted = tmp_path / "planted" / "model"
    planted.mkdir(parents=True)
    (planted / "model.safetensors").write_bytes(b"anything")
    client = mlflow.MlflowClient(
        tracking_uri=gate.settings.registry_uri, registry_uri=gate.settings.registry_uri
    )
    version = client.create_model_version("acme-ml--tiny", source=str(planted.parent))
    client.set_registered_model_alias("acme-ml--tiny", "approved", version.version)
    with pytest.raises(VerificationError) as refused:
        load_verified("acme-ml/tiny")
    assert refused.value.code == "no-signature"
    repaired = gate.admit("acme-ml/tiny")
    assert repaired.receipt is not None
    assert (repaired.receipt.reused, repaired.receipt.alias_current) == (True, True)
    assert load_verified("acme-ml/tiny", into="state_dict")


@pytest.mark.parametrize(
    "model_id",
    ["distilbert-base-uncased-finetuned-sqad", "distiIbert/distilbert-base-uncased-finetuned-sst-2-english"],
)
def test_a_lookalike_with_a_hostile_pickle_is_refused_with_every_reason(
    gate: Gate, hub: LoopbackHub, text_classifier: Path, tmp_path: Path, model_id: str
) -> None:
    marker = tmp_path / "was-here"
    folder = tmp_path / "hostile"
    shutil.copytree(text_classifier, folder)
    (folder / "pytorch_model.bin").write_bytes(
        hostile.torch_zip(hostile.pickle_that_would_run(f"touch {marker}"))
    )
    hub.add_repo(model_id, folder, metadata=ORDINARY)
    report = gate.admit(model_id, full_report=True)
    codes = {reason.code for reason in report.reasons if reason.verdict is Verdict.REJECT}
    assert report.verdict is Verdict.REJECT
    assert {"name-typosquat", "pickle-global-not-allowed", "picklescan-dangerous"} <= codes
    assert (report.release, report.receipt) == (None, None)
    assert not marker.exists()
    assert Registry(gate.settings.registry_uri).versions(model_id.replace("/", "--").lower()) == ()


def test_a_rejected_name_spares_the_download(gate: Gate, hub: LoopbackHub, text_classifier: Path) -> None:
    hub.add_repo("distilbret/distilbert-base-uncased", text_classifier, metadata=ORDINARY)
    before = len(hub.requests)
    report = gate.admit("distilbret/distilbert-base-uncased")
    assert report.verdict is Verdict.REJECT
    assert not [seen for seen in hub.requests[before:] if "/resolve/" in seen.target]
    assert {check.status for check in report.checks if check.name == "pickle-program"} == {Status.NOT_RUN}


def test_dry_run_signs_logs_and_registers_nothing(gate: Gate) -> None:
    from registry_gate.admission import admit

    report = admit(gate.request("acme-ml/tiny"), dry_run=True)
    assert report.verdict is Verdict.ADMIT
    assert (report.release, report.receipt) == (None, None)
    assert not gate.settings.log.exists()
    assert not list(gate.settings.work.glob("*+run-*"))


def test_an_older_commit_does_not_move_the_alias_back_unless_asked_by_name(
    gate: Gate, hub: LoopbackHub, text_classifier: Path, tmp_path: Path
) -> None:
    first = hub.add_repo("acme-ml/moving", text_classifier, metadata=ORDINARY)
    newer = tmp_path / "newer"
    shutil.copytree(text_classifier, newer)
    (newer / "README.md").write_text("a newer card\n")
    gate.admit("acme-ml/moving")
    hub.add_repo("acme-ml/moving", newer, metadata=ORDINARY)
    gate.admit("acme-ml/moving")
    back = gate.admit("acme-ml/moving", revision=first)
    asked = gate.admit("acme-ml/moving", revision=first, alias="approved")
    assert back.receipt is not None
    assert asked.receipt is not None
    assert (back.receipt.version, back.receipt.alias_current) == (1, False)
    assert (asked.receipt.version, asked.receipt.alias_current) == (1, True)


def test_a_newer_commit_is_compared_with_the_last_admitted_one(
    gate: Gate, hub: LoopbackHub, text_classifier: Path, tmp_path: Path
) -> None:
    hub.add_repo("acme-ml/changing", text_classifier, metadata=ORDINARY)
    first = gate.admit("acme-ml/changing")
    newer = tmp_path / "newer"
    shutil.copytree(text_classifier, newer)
    (newer / "README.md").write_text("another card\n")
    hub.add_repo("acme-ml/changing", newer, metadata=replace(ORDINARY, licence="mit"))
    second = gate.admit("acme-ml/changing")
    assert not [note for note in first.notes if "changed since" in note]
    (change,) = (note for note in second.notes if "changed since" in note)
    assert "licence: 'apache-2.0' to 'mit'" in change


def test_a_policy_nobody_trusts_is_refused_before_anything_is_fetched(gate: Gate, hub: LoopbackHub) -> None:
    stranger = gate.policy.model_copy(update={"name": "stranger"})
    before = len(hub.requests)
    with pytest.raises(UsageError) as refused:
        gate.admit("acme-ml/tiny", policy=stranger)
    assert refused.value.code == "policy-not-trusted"
    assert len(hub.requests) == before


def test_a_folder_of_ones_own_is_admitted_under_its_name(gate: Gate, text_classifier: Path) -> None:
    report = gate.admit(str(text_classifier), as_id="acme-ml/in-house")
    assert report.verdict is Verdict.ADMIT, report.reasons
    assert report.candidate.commit is not None
    assert report.candidate.commit.startswith("sha256:")


def test_a_folder_never_borrows_a_protected_owner(gate: Gate, text_classifier: Path) -> None:
    report = gate.admit(str(text_classifier), as_id="google/tiny")
    assert report.verdict is Verdict.REJECT
    assert "name-borrowed-owner" in {reason.code for reason in report.reasons}


def test_scan_of_one_file_judges_its_bytes_alone(gate: Gate, text_classifier: Path, tmp_path: Path) -> None:
    bad = tmp_path / "weights.pt"
    bad.write_bytes(hostile.torch_zip(hostile.pickle_that_would_run("true")))
    good = gate.scan(str(text_classifier / "pytorch_model.bin"))
    refused = gate.scan(str(bad))
    assert good.verdict is Verdict.ADMIT, good.reasons
    assert {check.name for check in good.checks} >= {"file-formats", "pickle-program", "weight-values"}
    assert not {check.name for check in good.checks} & {"repo-name", "listing", "convertible"}
    assert refused.verdict is Verdict.REJECT


def test_bytes_that_differ_from_the_listing_are_a_finding(
    gate: Gate, hub: LoopbackHub, text_classifier: Path
) -> None:
    hub.add_repo("acme-ml/tampered", text_classifier, metadata=ORDINARY)
    hub.tamper("acme-ml/tampered", "pytorch_model.bin", Tamper(flip_at=100))
    report = gate.admit("acme-ml/tampered")
    assert report.verdict is Verdict.REJECT
    assert "bytes-differ-from-listing" in {reason.code for reason in report.reasons}


def test_scan_of_a_document_or_through_a_link_says_nothing_found(
    gate: Gate, text_classifier: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link.bin"
    link.symlink_to(text_classifier / "pytorch_model.bin")
    document = gate.scan(str(text_classifier / "config.json"))
    linked = gate.scan(str(link))
    empty = tmp_path / "empty.bin"
    empty.touch()
    assert document.verdict is Verdict.ADMIT, document.reasons
    assert linked.verdict is Verdict.ADMIT, linked.reasons
    assert text.render(document).startswith("NOTHING FOUND")
    assert gate.scan(str(empty)).verdict is not Verdict.ADMIT
