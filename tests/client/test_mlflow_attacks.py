"""The attacks that MLflow does not notice, on a real server with passwords and on an embedded store."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from registry_gate import errors, load_verified, verify
from registry_gate.integrations import mlflow as our_mlflow
from registry_gate.registry import RegisteredVersion
from registry_gate.testing.sample_release import SampleStore
from tests.client.mlflow_server import BOB, Server

OTHERS = {"weights.bin": b"2" * 99}


@dataclass(frozen=True)
class Site:
    """A registry under attack: its gate, its folder of artifacts, and somebody's client."""

    store: SampleStore
    artifacts: Path
    client: MlflowClient

    def files(self, version: RegisteredVersion) -> Path:
        """Where the store keeps a version's files: the attacker's hand on the disk."""
        found = self.artifacts / version.source_uri.partition("artifacts/")[2].removeprefix("/")
        if not found.is_dir():
            found = self.artifacts / version.source_uri.removeprefix("mlflow-artifacts:/")
        assert found.is_dir(), version.source_uri
        return found


@pytest.fixture(params=["server", "embedded"])
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.chdir(tmp_path)  # MLflow's own calls make their databases in the working folder
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/own.db")
    if request.param == "server":
        request.getfixturevalue("as_admin")
        server: Server = request.getfixturevalue("server")
        store: SampleStore = request.getfixturevalue("served")
        return Site(store, server.artifacts, MlflowClient(server.uri, server.uri))
    store = request.getfixturevalue("store")
    uri = store.gate.settings.registry_uri
    root = store.gate.settings.artifact_root
    assert root is not None
    return Site(store, root, MlflowClient(uri, uri))


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    """A model id of the test's own."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name.removeprefix("test_"))
    return f"acme/{name.strip('-')[:80].strip('-')}"


def refused(ref: str) -> str:
    with pytest.raises(errors.VerificationError) as from_load:
        load_verified(ref, into="state_dict")
    with pytest.raises(errors.VerificationError) as from_verify:
        verify(ref)
    assert from_load.value.code == from_verify.value.code
    return from_load.value.code


def registered(model: str) -> str:
    return model.replace("/", "--")


def test_a_file_overwritten_through_mlflow(site: Site, model: str, tmp_path: Path) -> None:
    """The version's record stays byte for byte what it was, and MLflow serves the new bytes."""
    version = site.store.admit(tmp_path / "made", model)
    record = dict(site.client.get_model_version(version.name, str(version.version)))
    evil = tmp_path / "config.json"
    evil.write_bytes(b'{"architectures": ["BertModel"], "model_type": "bert", "evil": 1}')
    place = version.source_uri.partition(f"{version.run_id}/artifacts/")[2]
    site.client.log_artifact(version.run_id, str(evil), f"{place}/model")
    assert dict(site.client.get_model_version(version.name, str(version.version))) == record
    assert refused(model) == "bytes-differ"


def test_a_file_overwritten_on_the_disk(site: Site, model: str, tmp_path: Path) -> None:
    path = site.files(site.store.admit(tmp_path, model)) / "model/model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert refused(model) == "bytes-differ"


def test_tags_that_claim_something_else(site: Site, model: str, tmp_path: Path) -> None:
    """They change silently; nothing that is believed comes from them."""
    version = site.store.admit(tmp_path, model)
    for key, value in (("sha256", "0" * 64), ("registry_gate.commit", "9" * 40), ("registry_gate.id", "a/b")):
        site.client.set_model_version_tag(version.name, str(version.version), key, value)
    verified = verify(model)
    assert (verified.id, verified.commit) == (model, "a" * 40)


def test_the_alias_moved_to_another_model(site: Site, model: str, tmp_path: Path) -> None:
    version = site.store.admit(tmp_path / "one", model)
    other = site.store.admit(tmp_path / "two", f"{model}-other", OTHERS)
    made = site.client.create_model_version(version.name, source=other.source_uri, run_id=other.run_id)
    site.client.set_registered_model_alias(version.name, "approved", made.version)
    for ref in (model, f"models:/{version.name}@approved", f"models:/{version.name}/{made.version}"):
        assert refused(ref) == "wrong-name"


def test_the_model_deleted_and_its_version_number_used_again(site: Site, model: str, tmp_path: Path) -> None:
    """Version 1 is another thing now, and nobody signed it."""
    version = site.store.admit(tmp_path / "one", model)
    assert version.version == 1
    site.client.delete_registered_model(version.name)
    site.client.create_registered_model(version.name)
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    run = site.client.create_run(site.client.get_run(version.run_id).info.experiment_id)
    site.client.log_artifacts(run.info.run_id, str(bare), "release")
    source = f"{run.info.artifact_uri}/release"
    made = site.client.create_model_version(version.name, source=source, run_id=run.info.run_id)
    assert int(made.version) == 1
    site.client.set_registered_model_alias(version.name, "approved", "1")
    assert refused(f"models:/{version.name}/1") == "no-signature"
    assert refused(model) == "no-signature"


def test_an_unsigned_model_of_a_name_of_its_own(site: Site, model: str, tmp_path: Path) -> None:
    """Whoever may create models may; being in the registry proves nothing."""
    shutil.copytree(site.store.gate.release(tmp_path / "made", model).root / "model", tmp_path / "bare")
    # An embedded store would put the files of an experiment of its own into the working folder.
    place = None if site.store.registry.uri.startswith("http") else str(tmp_path / "theirs")
    run = site.client.create_run(site.client.create_experiment(f"other {model}", artifact_location=place))
    site.client.log_artifacts(run.info.run_id, str(tmp_path / "bare"), "release")
    site.client.create_registered_model(registered(model))
    made = site.client.create_model_version(
        registered(model), source=f"{run.info.artifact_uri}/release", run_id=run.info.run_id
    )
    site.client.set_registered_model_alias(registered(model), "approved", made.version)
    assert refused(model) == "no-signature"


def test_a_reader_loads_and_can_alter_nothing(
    served: SampleStore,
    server: Server,
    as_admin: None,
    model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = served.admit(tmp_path, model)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", BOB[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", BOB[1])
    assert verify(model).id == model
    assert load_verified(model, into="directory").is_dir()
    path = f"{version.source_uri.removeprefix('mlflow-artifacts:/')}/model/config.json"
    api, place = "/api/2.0/mlflow", f"/api/2.0/mlflow-artifacts/artifacts/{quote(path)}"
    moved = {"name": version.name, "alias": "approved", "version": "1"}
    tag = {"name": version.name, "version": "1", "key": "sha256", "value": "0"}
    assert server.ask(BOB, "PUT", place, b"{}") == 403
    assert server.ask(BOB, "POST", f"{api}/registered-models/alias", moved) == 403
    assert server.ask(BOB, "POST", f"{api}/model-versions/set-tag", tag) == 403
    assert verify(model).id == model


@pytest.mark.parametrize("password", ["wrong", ""])
def test_without_the_right_password_nothing_is_decided(
    password: str, as_admin: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", BOB[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    with pytest.raises(errors.FetchError) as caught:
        load_verified("acme/anything", into="directory")
    assert (caught.value.code, caught.value.exit_code) == ("registry-unreachable", 1)


@pytest.fixture
def current_registry(site: Site) -> Iterator[str]:
    """The registry that MLflow's own calls of this process use."""
    import mlflow

    before = mlflow.get_registry_uri()
    uri = site.store.registry.uri
    mlflow.set_registry_uri(uri)
    yield uri
    mlflow.set_registry_uri(before)


def test_our_loading_call_takes_the_registry_mlflow_uses(
    site: Site, model: str, current_registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REGISTRY_GATE_REGISTRY_URI", raising=False)
    version = site.store.admit(tmp_path, model)
    folder = our_mlflow.load_model(f"models:/{version.name}@approved", into="directory")
    assert (folder / "config.json").is_file()
    path = site.files(version) / "model/config.json"
    path.write_bytes(b"{}")
    with pytest.raises(errors.VerificationError) as caught:
        our_mlflow.load_model(f"models:/{version.name}/{version.version}", into="directory")
    assert caught.value.code == "bytes-differ"


@pytest.mark.parametrize(
    "uri", ["runs:/1/model", "models:/x", "acme/x", "models:/x@a@b", "", "./folder", "m-1"]
)
def test_our_loading_call_takes_registered_models_only(uri: str) -> None:
    with pytest.raises(errors.UsageError) as caught:
        our_mlflow.load_model(uri)
    assert caught.value.code == "bad-reference"


def test_a_release_has_no_mlmodel_for_pyfunc_to_follow(
    site: Site, model: str, current_registry: str, tmp_path: Path
) -> None:
    """MLflow's own loader picks code by a file nobody signed; a Release gives it none to pick by."""
    import mlflow

    version = site.store.admit(tmp_path, model)
    loaders: tuple[Callable[[str], object], ...] = (mlflow.pyfunc.load_model, mlflow.transformers.load_model)
    for loader in loaders:
        with pytest.raises(MlflowException):
            loader(f"models:/{version.name}/{version.version}")
