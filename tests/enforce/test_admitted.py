"""The exported list holds what verifies now, and is what the policies read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from registry_gate import errors
from registry_gate.cli.app import run
from registry_gate.enforce.admitted import AdmittedList, admitted_list, as_config_map, as_rego_data
from registry_gate.index.read import read_index
from registry_gate.log import AdmissionLog
from registry_gate.release import Receipt
from registry_gate.testing.sample_release import FILES, SampleStore
from tests.enforce.house import NEW, OLD, House

GATE = "registry.example/registry-gate@sha256:" + "a" * 64
NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path: Path, new_store: Callable[[Path], SampleStore]) -> SampleStore:
    return new_store(tmp_path / "home")


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


def listed(
    store: SampleStore | House,
    now: datetime | None = None,
    images: tuple[str, ...] = (GATE,),
    *,
    keep_superseded: bool = False,
) -> AdmittedList:
    gate = store.gate
    return admitted_list(
        AdmissionLog(gate.settings.log, gate.trust),
        read_index(gate.settings, gate.trust),
        gate.trust,
        gate.settings.registry_uri,
        images,
        now or datetime.now(UTC),  # not when the tests were collected: what is signed later is of the future
        keep_superseded=keep_superseded,
    )


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


def commits(found: AdmittedList) -> set[tuple[str, str]]:
    return {(model.id, model.commit) for model in found.models}


def test_what_is_revoked_or_superseded_is_not_admitted(house: House) -> None:
    found = listed(house)
    assert commits(found) == {("acme/good", NEW), ("acme/bad", OLD)}
    told = {(item.name, item.code): item.instead for item in found.left_out}
    pins = {model.name: model.pin for model in found.models}
    assert told == {
        ("acme--good", "superseded"): pins["acme--good"],
        ("acme--bad", "revoked"): pins["acme--bad"],
        ("acme--gone", "revoked"): None,
    }
    assert any("poisoned" in item.message for item in found.left_out)
    assert not found.suspicious, "the gate's own decisions are no alarm"


def test_a_roll_out_may_keep_what_was_superseded_and_never_what_was_revoked(house: House) -> None:
    found = listed(house, keep_superseded=True)
    assert commits(found) == {("acme/good", NEW), ("acme/good", OLD), ("acme/bad", OLD)}
    assert {item.code for item in found.left_out} == {"revoked"}


def test_what_the_index_does_not_list_is_suspicious(store: SampleStore, tmp_path: Path) -> None:
    """So a stolen key's work looks, receipt or not."""
    admit(store, tmp_path / "1", "acme/tiny")
    store.gate.index.change(lambda content: content.model_copy(update={"listed": ()}))
    found = listed(store)
    assert not found.models
    assert [item.code for item in found.suspicious] == ["not-in-index"]


def test_the_command_names_what_to_pin_instead(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(house.gate.settings.home))
    assert run(["export-admitted"]) == 0
    shown = capsys.readouterr()
    pins = {model.name: model.pin for model in listed(house).models}
    assert set(yaml.safe_load(shown.out)["data"].values()) == set(pins.values())
    assert f"pin {pins['acme--bad']} instead" in shown.err
    assert "revoked" in shown.err


def test_without_an_index_that_is_believed_there_is_no_list(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(house.gate.settings.home))
    monkeypatch.setenv("REGISTRY_GATE_INDEX", str(tmp_path))
    assert run(["export-admitted"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("no-index:")


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
