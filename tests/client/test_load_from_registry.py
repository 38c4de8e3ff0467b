"""What a consumer sees when the registry, its store or its records were changed."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from mlflow import MlflowClient

from registry_gate import errors, load_verified, verify
from registry_gate.release import BOM_FILE
from registry_gate.testing.sample_release import FILES, SampleStore, sample_gate


def client(store: SampleStore) -> MlflowClient:
    """Somebody else's hand on the registry, past the gate."""
    uri = store.gate.settings.registry_uri
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def refused(ref: object, into: str = "directory") -> str:
    """The code with which both calls refuse."""
    with pytest.raises(errors.VerificationError) as from_load:
        load_verified(ref, into=into)  # type: ignore[call-overload]
    with pytest.raises(errors.VerificationError) as from_verify:
        verify(ref)  # type: ignore[arg-type]
    assert from_load.value.code == from_verify.value.code
    return from_load.value.code


def test_every_way_to_name_an_admitted_model(store: SampleStore, tmp_path: Path, scratch: Path) -> None:
    version = store.admit(tmp_path, "Acme/Tiny")
    folder = store.folder(version)
    references = ("Acme/Tiny", "models:/acme--tiny@approved", f"models:/acme--tiny/{version.version}", folder)
    for ref in (*references, f"{folder}/"):
        assert verify(ref).id == "Acme/Tiny"
        model = load_verified(ref, into="directory")
        assert {path.name for path in model.iterdir()} == {
            "config.json",
            "model.safetensors",
            "tokenizer",
            BOM_FILE,
        }
        assert (model / "config.json").read_bytes() == FILES["config.json"]
        assert model.is_relative_to(scratch)
        assert model.stat().st_mode & 0o777 == 0o500
        assert (model / "config.json").stat().st_mode & 0o777 == 0o400


def test_the_id_is_compared_with_its_case(store: SampleStore, tmp_path: Path) -> None:
    store.admit(tmp_path, "Acme/Cased")
    assert refused("acme/cased") == "wrong-name"


def test_a_byte_changed_in_the_store_is_refused_and_nothing_is_left(
    store: SampleStore, tmp_path: Path, scratch: Path
) -> None:
    version = store.admit(tmp_path, "acme/flipped")
    path = store.folder(version) / "model/model.safetensors"
    data = bytearray(path.read_bytes())
    data[100] ^= 4
    path.write_bytes(data)
    for into in ("model", "state_dict", "directory"):
        assert refused("acme/flipped", into) == "bytes-differ"
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "code"), [("model/config.json", "link"), ("attestations/model.sig", "link")]
)
def test_a_link_in_the_store_is_refused(name: str, code: str, store: SampleStore, tmp_path: Path) -> None:
    version = store.admit(tmp_path, f"acme/link{name[0]}")
    path = store.folder(version) / name
    path.rename(tmp_path / "aside")
    path.symlink_to(tmp_path / "aside")
    assert refused(f"acme/link{name[0]}") == code


def test_an_unsigned_version_under_the_alias_is_refused(store: SampleStore, tmp_path: Path) -> None:
    version = store.admit(tmp_path / "good", "acme/swapped")
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    made = client(store).create_model_version("acme--swapped", source=str(bare))
    store.registry.set_alias("acme--swapped", "approved", int(made.version))
    assert refused("acme/swapped") == "no-signature"
    assert verify(f"models:/acme--swapped/{version.version}").id == "acme/swapped"


def test_another_models_valid_release_under_the_alias_is_refused(store: SampleStore, tmp_path: Path) -> None:
    store.admit(tmp_path / "one", "acme/one")
    other = store.admit(tmp_path / "two", "acme/two", {"weights.bin": b"2" * 99})
    made = client(store).create_model_version("acme--one", source=other.source_uri)
    store.registry.set_alias("acme--one", "approved", int(made.version))
    for ref in ("acme/one", "models:/acme--one@approved", f"models:/acme--one/{made.version}"):
        assert refused(ref) == "wrong-name"


def test_a_store_overwritten_with_another_admitted_model_is_refused(
    store: SampleStore, tmp_path: Path
) -> None:
    version = store.admit(tmp_path / "a", "acme/aa")
    other = store.admit(tmp_path / "b", "acme/bb", {"weights.bin": b"2" * 99})
    shutil.rmtree(store.folder(version))
    shutil.copytree(store.folder(other), store.folder(version))
    assert refused("acme/aa") == "wrong-name"


def test_another_gates_release_is_refused(store: SampleStore, tmp_path: Path) -> None:
    other = sample_gate(tmp_path / "other-home")
    release = other.release(tmp_path / "made", "acme/foreign")
    version = store.registry.create_version(release, store.registry.upload(release))
    store.registry.set_alias("acme--foreign", "approved", version.version)
    assert refused("acme/foreign") == "untrusted-key"
    assert verify("acme/foreign", trust=other.settings.trust).id == "acme/foreign"


def test_tags_and_descriptions_prove_nothing(store: SampleStore, tmp_path: Path) -> None:
    version = store.admit(tmp_path, "acme/tagged")
    for key in ("registry_gate.commit", "registry_gate.id", "registry_gate.sequence"):
        client(store).set_model_version_tag("acme--tagged", str(version.version), key, "9" * 40)
    verified = verify("acme/tagged")
    assert (verified.commit, verified.id, verified.sequence) == ("a" * 40, "acme/tagged", 1)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("/etc", "no-signature"),
        ("/nonexistent/release", "no-such-release"),
        ("file:///proc/self", "no-signature"),
        ("/x\0y", "no-such-release"),
        ("file://[", "no-such-release"),
        ("s3://nowhere/x", "registry-unreadable"),
        ("http://127.0.0.1:1/x", "no-such-release"),
        ("mlflow-artifacts://127.0.0.1:1/x", "no-such-release"),
        ("runs:/1/x", "no-such-release"),
        ("", "no-such-release"),
        (".", "no-such-release"),
        ("relative/folder", "no-such-release"),
        ("file:relative", "no-such-release"),
    ],
)
def test_a_database_that_points_elsewhere_is_refused(
    source: str, code: str, store: SampleStore, tmp_path: Path, scratch: Path
) -> None:
    name = f"acme/elsewhere-{sha256(source.encode()).hexdigest()[:8]}"
    version = store.admit(tmp_path, name)
    database = store.gate.settings.registry_uri.removeprefix("sqlite:///")
    with closing(sqlite3.connect(database)) as connection, connection:
        changed = connection.execute(
            "UPDATE model_versions SET source = ? WHERE name = ?", (source, version.name)
        )
        assert changed.rowcount == 1
    with pytest.raises(errors.Error) as caught:
        load_verified(name, into="directory")
    assert caught.value.code == code
    assert list(scratch.iterdir()) == []


def test_a_model_that_was_never_admitted(store: SampleStore, tmp_path: Path) -> None:
    store.admit(tmp_path, "acme/present")
    for ref in ("acme/absent", "models:/acme--present@production", "models:/acme--present/77"):
        with pytest.raises(errors.FetchError) as caught:
            load_verified(ref, into="directory")
        assert (caught.value.code, caught.value.exit_code) == ("not-in-registry", 1)


def test_looking_for_a_model_makes_no_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gate = sample_gate(tmp_path / "new")
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(gate.settings.home))
    with pytest.raises(errors.FetchError):
        verify("acme/tiny")
    assert not (tmp_path / "new" / "registry").exists()


def test_a_folder_in_the_working_folder_does_not_stand_for_an_id(
    store: SampleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = store.gate.release(tmp_path / "made", "acme/local")
    (tmp_path / "acme").mkdir()
    release.root.rename(tmp_path / "acme" / "local")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.FetchError) as caught:
        verify("acme/local")
    assert "./acme/local" in caught.value.todo
    assert verify("./acme/local").id == "acme/local"
    assert verify(Path("acme/local")).id == "acme/local"


def test_no_trust_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(tmp_path / "nobody"))
    with pytest.raises(errors.UsageError) as caught:
        verify("acme/tiny")
    assert caught.value.code == "no-trust"
