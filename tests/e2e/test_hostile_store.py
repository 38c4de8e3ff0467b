"""After the decision: a store, a database or a colleague that does what it should not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from registry_gate import load_verified, verify
from registry_gate.candidate import registered_name
from registry_gate.errors import Error, UsageError
from registry_gate.policy import load_policy
from registry_gate.registry import Registry, local_path
from registry_gate.report.document import Report
from registry_gate.testing.hub import LoopbackHub
from tests.e2e.conftest import Gate, make_gate

WEIGHTS = {"model.safetensors": save({"weight": torch.arange(6.0).reshape(2, 3)}), "README.md": b"a card\n"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, hub: LoopbackHub) -> Gate:
    """One gate; weights without a configuration, so that the behaviour child has no library to import."""
    required = [name for name in load_policy("default").required_checks if name != "model-structure"]
    return make_gate(tmp_path_factory.mktemp("gate"), hub.url, required_checks=required)


@pytest.fixture
def gate(made: Gate, monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(made.settings.home))
    return made


@pytest.fixture
def model(hub: LoopbackHub, tmp_path: Path) -> str:
    """A repository of the test's own, and its twin whose id differs in case."""
    made = f"acme-ml/m{sha256(str(tmp_path).encode()).hexdigest()[:8]}"
    hub.add_repo(made, WEIGHTS)
    hub.add_repo(twin(made), WEIGHTS | {"README.md": b"another one's card\n"})
    return made


def twin(model: str) -> str:
    return model.replace("acme-ml", "Acme-ML")


def at(model: str, alias: str = "approved") -> str:
    return f"models:/{registered_name(model)}@{alias}"


def stored(gate: Gate, model: str) -> Path:
    version = Registry(gate.settings.registry_uri).version_for(registered_name(model), "approved")
    assert version is not None
    folder = local_path(version.source_uri)
    assert folder is not None
    return folder


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(Error) as caught:
        call()
    return caught.value.code


def version_of(report: Report) -> tuple[int, bool, bool]:
    assert report.receipt is not None
    return report.receipt.version, report.receipt.reused, report.receipt.alias_current


def a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "model" / "pipe")


def a_pipe_in_place_of_the_weights(folder: Path) -> None:
    (folder / "model" / "model.safetensors").unlink()
    os.mkfifo(folder / "model" / "model.safetensors")


def more_bytes_than_any_disk_has(folder: Path) -> None:
    os.truncate(folder / "model" / "README.md", 1 << 43)


def a_link_to_a_device(folder: Path) -> None:
    (folder / "model" / "zero").symlink_to("/dev/zero")


@pytest.mark.parametrize(
    "spoil", [a_pipe, a_pipe_in_place_of_the_weights, more_bytes_than_any_disk_has, a_link_to_a_device]
)
def test_what_is_put_into_the_store_is_not_copied_but_replaced(
    spoil: Callable[[Path], None], gate: Gate, model: str
) -> None:
    gate.admit(model)
    spoil(stored(gate, model))
    assert refused(lambda: load_verified(model, into="state_dict")) in {
        "unexpected-file",
        "bytes-differ",
        "link",
    }
    assert version_of(gate.admit(model)) == (2, False, True)
    assert verify(model).id == model


@pytest.mark.parametrize(
    "source", ["/dev", "/proc/self", "nonsense", "http://127.0.0.1:1/x", "mlflow-artifacts://127.0.0.1:1/x"]
)
def test_a_version_that_points_elsewhere_is_replaced(source: str, gate: Gate, model: str) -> None:
    gate.admit(model)
    database = gate.settings.registry_uri.removeprefix("sqlite:///")
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute(
            "UPDATE model_versions SET source = ? WHERE name = ?", (source, registered_name(model))
        ).rowcount
    assert refused(lambda: verify(model))
    assert version_of(gate.admit(model)) == (2, False, True)
    assert verify(model).id == model


def test_a_registered_name_stays_with_its_source(gate: Gate, model: str, tmp_path: Path) -> None:
    gate.admit(model)
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(WEIGHTS["model.safetensors"])
    for taker in (
        lambda: gate.admit(twin(model)),
        lambda: gate.admit(str(folder), as_id=model),
    ):
        with pytest.raises(UsageError) as caught:
            taker()
        assert caught.value.code == "name-taken"
    assert verify(at(model)).kind.value == "hub"
    gate.admit(str(folder), as_id=model, alias="own")
    assert verify(at(model, "own")).kind.value == "folder"
    assert verify(at(model)).kind.value == "hub"
    assert version_of(gate.admit(model)) == (1, True, True)


def test_another_sources_model_under_the_alias_is_left_there(gate: Gate, model: str, tmp_path: Path) -> None:
    """Somebody named the alias when they moved it; an admission that names none does not move it back."""
    gate.admit(model)
    gate.admit(twin(model), alias="approved")
    assert verify(twin(model)).id == twin(model)
    assert refused(lambda: verify(model)) == "wrong-name"
    assert version_of(gate.admit(model)) == (1, True, False)
    assert version_of(gate.admit(model, alias="approved")) == (1, True, True)


@pytest.mark.parametrize(
    "alias", ["", "latest", "LATEST", "v1", "V22", "a b", "a/b", "a@b", "ünï", "x" * 101]
)
def test_an_alias_no_registry_holds_is_refused_before_anything_is_asked(
    alias: str, gate: Gate, model: str, hub: LoopbackHub
) -> None:
    before = len(hub.requests)
    assert refused(lambda: gate.admit(model, alias=alias)) == "bad-alias"
    assert len(hub.requests) == before


@pytest.mark.parametrize(
    "more", [{"reference": "acme-ml/tiny@"}, {"revision": ""}, {"reference": "x" * 5000}]
)
def test_a_reference_that_says_less_than_it_seems(
    more: dict[str, str], gate: Gate, model: str, hub: LoopbackHub
) -> None:
    before = len(hub.requests)
    asked = {"reference": model} | more
    assert refused(lambda: gate.admit(**asked)) in {"bad-reference", "bad-model-id"}
    assert refused(lambda: gate.scan(**asked)) in {"bad-reference", "bad-model-id"}
    assert len(hub.requests) == before


def test_a_key_that_the_trust_file_does_not_pin_writes_nothing(
    gate: Gate, model: str, tmp_path: Path
) -> None:
    gate.admit(model)
    other = make_gate(tmp_path / "other", gate.endpoint).settings
    log = gate.settings.log.read_bytes()
    for half in ("signing-key.pem", "signing-key.pub.pem"):
        (other.keys / half).replace(gate.settings.keys / half)
    assert refused(lambda: gate.admit(twin(model), alias="approved")) == "key-not-trusted"
    assert gate.settings.log.read_bytes() == log


def test_the_home_is_private_whatever_the_umask(
    tmp_path: Path, hub: LoopbackHub, gate: Gate, model: str
) -> None:
    settings = gate.settings.model_copy(update={"home": tmp_path / "new" / "home"})
    before = os.umask(0)
    try:
        gate.scan(model, settings=settings)
    finally:
        os.umask(before)
    assert settings.home.stat().st_mode & 0o777 == 0o700
    assert settings.work.stat().st_mode & 0o777 == 0o700
