"""audit-registry against the five attacks that MLflow does not notice, and the rest of the states."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mlflow import MlflowClient

from registry_gate.index.content import RevokedRelease
from registry_gate.index.edits import with_floor, with_revoked
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.registry import RegisteredVersion, Registry
from registry_gate.registry_audit import AuditedVersion, State, audit
from registry_gate.release import Receipt
from registry_gate.testing.sample_release import SampleGate, SampleStore, an_hour_ago, sample_gate

NAME = "acme--tiny"


class House(SampleStore):
    """A store whose versions have receipts, as the gate's have."""

    def put(self, folder: Path, sequence: int = 1, model_id: str = "acme/tiny") -> RegisteredVersion:
        version = self.admit(folder, model_id, sequence=sequence)
        log = AdmissionLog(self.gate.settings.log, self.gate.trust, self.gate.signer)
        log.append_receipt(
            Receipt(
                registry_uri=self.registry.uri,
                registered_name=version.name,
                alias="approved",
                version=version.version,
                run_id=version.run_id,
                source_uri=version.source_uri,
                manifest_digest=str(version.manifest_digest),
                sequence=sequence,
                registered_at=an_hour_ago(),
            )
        )
        return version

    @property
    def mlflow(self) -> MlflowClient:
        """Somebody else's hand on the registry."""
        return MlflowClient(tracking_uri=self.registry.uri, registry_uri=self.registry.uri)

    def rows(self) -> list[AuditedVersion]:
        return list(audit(self.gate.settings, self.gate.trust))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> SampleGate:
    """A gate with an empty store, whose tables take seconds to make."""
    gate = sample_gate(tmp_path_factory.mktemp("template") / "home")
    Registry(gate.settings.registry_uri).names()
    return gate


@pytest.fixture
def house(template: SampleGate, tmp_path: Path) -> House:
    gate = sample_gate(tmp_path / "home")
    shutil.copytree(template.settings.home / "registry", gate.settings.home / "registry")
    return House(gate, Registry(gate.settings.registry_uri))


def test_what_the_gate_put_there_is_verified(house: House, tmp_path: Path) -> None:
    house.put(tmp_path / "1", 1)
    house.put(tmp_path / "2", 2)
    rows = house.rows()
    assert [(row.version, row.state, row.aliases, row.notes) for row in rows] == [
        (2, State.VERIFIED, ("approved",), ()),
        (1, State.VERIFIED, (), ()),
    ]
    assert not any(row.alarming for row in rows)


def only(house: House) -> AuditedVersion:
    (row,) = house.rows()
    return row


def test_attack_1_a_file_overwritten_through_mlflow(house: House, tmp_path: Path) -> None:
    version = house.put(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    house.mlflow.log_artifact(version.run_id, str(tmp_path / "config.json"), "release/model")
    row = only(house)
    assert (row.state, row.code, row.alarming) == (State.TAMPERED, "bytes-differ", True)


def test_attack_2_a_file_overwritten_on_the_disk(house: House, tmp_path: Path) -> None:
    version = house.put(tmp_path)
    (house.folder(version) / "model/model.safetensors").write_bytes(b"hostile")
    assert only(house).state is State.TAMPERED


def test_attack_3_a_tag_changed(house: House, tmp_path: Path) -> None:
    """Nobody believes a tag, so the version stands; the change is named."""
    house.put(tmp_path)
    house.mlflow.set_model_version_tag(NAME, "1", "registry_gate.manifest", "sha256:" + "0" * 64)
    row = only(house)
    assert row.state is State.VERIFIED
    assert [note.partition(":")[0] for note in row.notes] == ["tag-differs"]


def test_attack_4_the_alias_moved_to_what_lies_elsewhere(house: House, tmp_path: Path) -> None:
    house.put(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    house.mlflow.create_model_version(NAME, source=str(elsewhere))
    house.registry.set_alias(NAME, "approved", 2)
    new, old = house.rows()
    assert (new.state, new.code, new.alarming) == (State.UNSIGNED, "no-signature", True)
    assert new.notes == ("not-registered-by-this-gate: the log has no receipt for this number",)
    assert (old.state, old.alarming) == (State.VERIFIED, False)


def test_attack_5_the_model_deleted_and_its_number_used_again(house: House, tmp_path: Path) -> None:
    house.put(tmp_path / "1", 1)
    house.mlflow.delete_registered_model(NAME)
    release = house.gate.release(tmp_path / "2", sequence=2, files={"model.safetensors": b"another"})
    made = house.registry.create_version(release, house.registry.upload(release))
    assert made.version == 1, "MLflow uses the number again"
    row = only(house)
    assert row.state is State.VERIFIED, "it is a true Release, under a number that was another's"
    assert row.notes == ("version-reused: the log has another manifest under this number",)


def test_states_that_only_the_index_knows(house: House, tmp_path: Path) -> None:
    house.put(tmp_path / "1", 1)
    second = house.put(tmp_path / "2", 2, "acme/second")
    unlisted = house.gate.release(tmp_path / "3", "acme/third", sequence=9, listed=False)
    house.registry.create_version(unlisted, house.registry.upload(unlisted))
    entry = RevokedRelease(
        manifest_digest=str(second.manifest_digest), reason="poisoned", revoked_at=datetime.now(UTC)
    )
    house.gate.index.change(lambda content: with_floor(content, NAME, "approved", 5))
    states = {row.name: row.state for row in house.rows()}
    assert states == {
        "acme--second": State.VERIFIED,
        "acme--third": State.UNLISTED,
        "acme--tiny": State.SUPERSEDED,
    }
    house.gate.index.change(lambda content: with_revoked(content, entry))
    again = {row.name: row.state for row in house.rows()}
    assert again == states | {"acme--second": State.REVOKED}


def test_expired_gone_and_another_models(house: House, tmp_path: Path) -> None:
    from datetime import timedelta

    old = house.gate.release(tmp_path / "1", issued_at=an_hour_ago() - timedelta(days=9), days=1)
    house.registry.create_version(old, house.registry.upload(old))
    gone = house.put(tmp_path / "2", 2, "acme/gone")
    shutil.rmtree(house.folder(gone))
    made = house.mlflow.create_registered_model("acme--swapped")
    assert made.name
    house.mlflow.create_model_version(
        "acme--swapped", source=house.put(tmp_path / "3", 3, "acme/x").source_uri
    )
    found = {row.name: (row.state, row.code) for row in house.rows()}
    assert found["acme--tiny"] == (State.STALE, "expired")
    assert found["acme--gone"] == (State.UNREADABLE, "no-such-release")
    assert found["acme--swapped"] == (State.TAMPERED, "wrong-name")


def test_the_command(house: House, tmp_path: Path) -> None:
    version = house.put(tmp_path)

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "registry_gate", "audit-registry", *more],
            env={"REGISTRY_GATE_HOME": str(house.gate.settings.home), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )

    done = run()
    assert done.returncode == 0, done.stderr
    assert "verified    acme--tiny/1 @approved" in done.stdout
    (house.folder(version) / "model/config.json").unlink()
    done = run("--format", "json")
    assert done.returncode == 2, done.stderr
    (line,) = done.stdout.splitlines()
    assert (json.loads(line)["state"], json.loads(line)["code"]) == ("tampered", "missing-file")


def test_looking_makes_no_store(tmp_path: Path) -> None:
    gate = sample_gate(tmp_path / "home")
    assert list(audit(gate.settings, gate.trust)) == []
    assert not (gate.settings.home / "registry").exists()
