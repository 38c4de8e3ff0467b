"""The exported list holds what verifies now, and is what the policies read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from registry_gate import errors
from registry_gate.enforce.admitted import AdmittedList, admitted_list, as_config_map, as_rego_data
from registry_gate.log import AdmissionLog
from registry_gate.registry import Registry
from registry_gate.release import Receipt
from registry_gate.testing.sample_release import FILES, SampleStore, sample_gate

GATE = "registry.example/registry-gate@sha256:" + "a" * 64
NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path: Path) -> SampleStore:
    gate = sample_gate(tmp_path / "home")
    return SampleStore(gate, Registry(gate.settings.registry_uri))


def admit(store: SampleStore, folder: Path, model_id: str, sequence: int = 1) -> Receipt:
    """Sign, upload, register, and write the receipt that ``registry-gate admit`` writes."""
    gate = store.gate
    release = gate.release(folder, model_id, FILES | {"config.json": b"{}" * sequence}, sequence=sequence)
    version = store.registry.create_version(release, store.registry.upload(release))
    receipt = Receipt(
        registry_uri=store.registry.uri,
        registered_name=version.name,
        alias="approved",
        version=version.version,
        run_id=version.run_id,
        source_uri=version.source_uri,
        manifest_digest=release.manifest_digest,
        sequence=sequence,
        registered_at=NOW,
    )
    AdmissionLog(gate.settings.log, gate.trust, gate.signer).append_receipt(receipt)
    return receipt


def listed(store: SampleStore, now: datetime = NOW, images: tuple[str, ...] = (GATE,)) -> AdmittedList:
    gate = store.gate
    log = AdmissionLog(gate.settings.log, gate.trust)
    return admitted_list(log, gate.trust, gate.settings.registry_uri, images, now)


def test_every_version_that_verifies_is_in_the_list(store: SampleStore, tmp_path: Path) -> None:
    first = admit(store, tmp_path / "1", "acme/tiny")
    second = admit(store, tmp_path / "2", "acme/tiny", sequence=2)
    found = listed(store)
    assert {model.pin for model in found.models} == {
        f"acme--tiny@{receipt.manifest_digest}" for receipt in (first, second)
    }
    document = yaml.safe_load(as_config_map(found))
    assert document["metadata"]["name"] == "registry-gate-admitted"
    assert set(document["data"].values()) == {GATE, *(model.pin for model in found.models)}
    assert f"model.acme--tiny.{first.manifest_digest[7:]}" in document["data"]
    data = yaml.safe_load(as_rego_data(found))["registry_gate_admitted"]
    assert set(data["models"]) == {model.pin for model in found.models}
    assert data["gate_images"] == [GATE]


def test_the_expired_are_left_out_and_arouse_no_suspicion(store: SampleStore, tmp_path: Path) -> None:
    admit(store, tmp_path / "1", "acme/tiny")
    found = listed(store, NOW + timedelta(days=400))
    assert not found.models
    assert [item.code for item in found.left_out] == ["expired"]
    assert not found.suspicious


def test_a_store_that_was_tampered_with_is_left_out_and_named(store: SampleStore, tmp_path: Path) -> None:
    receipt = admit(store, tmp_path / "1", "acme/tiny")
    (Path(receipt.source_uri) / "attestations/statements.jsonl").write_text("{}\n")
    found = listed(store)
    assert not found.models
    assert found.suspicious


def test_another_release_in_its_place_is_noticed(store: SampleStore, tmp_path: Path) -> None:
    first = admit(store, tmp_path / "1", "acme/tiny")
    second = admit(store, tmp_path / "2", "acme/tiny", sequence=2)
    Path(first.source_uri).rename(tmp_path / "aside")
    Path(second.source_uri).rename(first.source_uri)
    found = listed(store)
    assert {item.code for item in found.suspicious} == {"manifest-differs", "no-such-release"}


@pytest.mark.parametrize("image", ["gate:1", "gate@sha256:" + "A" * 64, "gate@sha256:" + "a" * 63, ""])
def test_an_image_by_tag_is_no_image_of_the_gate(store: SampleStore, image: str) -> None:
    with pytest.raises(errors.UsageError) as caught:
        listed(store, images=(image,))
    assert caught.value.code == "image-not-pinned"


def test_a_list_larger_than_a_config_map_is_refused(store: SampleStore, tmp_path: Path) -> None:
    admit(store, tmp_path / "1", "acme/tiny")
    found = listed(store)
    model = found.models[0]
    many = [model.model_copy(update={"manifest_digest": f"sha256:{number:064x}"}) for number in range(6000)]
    with pytest.raises(errors.UsageError) as caught:
        as_config_map(found.model_copy(update={"models": tuple(many)}))
    assert caught.value.code == "list-too-large"
