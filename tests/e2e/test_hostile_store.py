"""After the decision: a store, a database or a colleague that does what it should not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from registry_gate import load_verified, verify
from registry_gate.errors import Error, UsageError
from registry_gate.policy import load_policy
from registry_gate.registry import Registry, local_path
from registry_gate.report.document import Report
from registry_gate.testing.hub import LoopbackHub
from tests.e2e.conftest import Gate, make_gate

MODEL = "acme-ml/stored"
WEIGHTS = {"model.safetensors": save({"weight": torch.arange(6.0).reshape(2, 3)}), "README.md": b"a card\n"}


@pytest.fixture
def gate(tmp_path: Path, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Weights without a configuration, so that the behaviour child has no library to import."""
    hub.add_repo(MODEL, WEIGHTS)
    hub.add_repo("Acme-ML/Stored", WEIGHTS | {"README.md": b"another one's card\n"})
    required = [name for name in load_policy("default").required_checks if name != "model-structure"]
    gate = make_gate(tmp_path, hub.url, required_checks=required)
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(gate.settings.home))
    return gate


def stored(gate: Gate) -> Path:
    version = Registry(gate.settings.registry_uri).version_for("acme-ml--stored", "approved")
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
    spoil: Callable[[Path], None], gate: Gate
) -> None:
    gate.admit(MODEL)
    spoil(stored(gate))
    assert refused(lambda: load_verified(MODEL, into="state_dict")) in {
        "unexpected-file",
        "bytes-differ",
        "link",
    }
    assert version_of(gate.admit(MODEL)) == (2, False, True)
    assert verify(MODEL).id == MODEL


@pytest.mark.parametrize(
    "source", ["/dev", "/proc/self", "nonsense", "http://127.0.0.1:1/x", "mlflow-artifacts://127.0.0.1:1/x"]
)
def test_a_version_that_points_elsewhere_is_replaced(source: str, gate: Gate) -> None:
    gate.admit(MODEL)
    database = gate.settings.registry_uri.removeprefix("sqlite:///")
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute("UPDATE model_versions SET source = ?", (source,)).rowcount == 1
    assert refused(lambda: verify(MODEL))
    assert version_of(gate.admit(MODEL)) == (2, False, True)
    assert verify(MODEL).id == MODEL


def test_a_registered_name_stays_with_its_source(gate: Gate, tmp_path: Path) -> None:
    gate.admit(MODEL)
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(WEIGHTS["model.safetensors"])
    for taker in (
        lambda: gate.admit("Acme-ML/Stored"),
        lambda: gate.admit(str(folder), as_id=MODEL),
    ):
        with pytest.raises(UsageError) as caught:
            taker()
        assert caught.value.code == "name-taken"
    assert verify("models:/acme-ml--stored@approved").kind.value == "hub"
    gate.admit(str(folder), as_id=MODEL, alias="own")
    assert verify("models:/acme-ml--stored@own").kind.value == "folder"
    assert verify("models:/acme-ml--stored@approved").kind.value == "hub"
    assert version_of(gate.admit(MODEL)) == (1, True, True)


def test_another_sources_model_under_the_alias_is_left_there(gate: Gate, tmp_path: Path) -> None:
    """Somebody named the alias when they moved it; an admission that names none does not move it back."""
    gate.admit(MODEL)
    gate.admit("Acme-ML/Stored", alias="approved")
    assert verify("Acme-ML/Stored").id == "Acme-ML/Stored"
    assert refused(lambda: verify(MODEL)) == "wrong-name"
    assert version_of(gate.admit(MODEL)) == (1, True, False)
    assert version_of(gate.admit(MODEL, alias="approved")) == (1, True, True)


@pytest.mark.parametrize(
    "alias", ["", "latest", "LATEST", "v1", "V22", "a b", "a/b", "a@b", "ünï", "x" * 101]
)
def test_an_alias_no_registry_holds_is_refused_before_anything_is_asked(
    alias: str, gate: Gate, hub: LoopbackHub
) -> None:
    before = len(hub.requests)
    assert refused(lambda: gate.admit(MODEL, alias=alias)) == "bad-alias"
    assert len(hub.requests) == before


@pytest.mark.parametrize("more", [{"reference": f"{MODEL}@"}, {"revision": ""}, {"reference": "x" * 5000}])
def test_a_reference_that_says_less_than_it_seems(more: dict[str, str], gate: Gate, hub: LoopbackHub) -> None:
    before = len(hub.requests)
    asked = {"reference": MODEL} | more
    assert refused(lambda: gate.admit(**asked)) in {"bad-reference", "bad-model-id"}
    assert refused(lambda: gate.scan(**asked)) in {"bad-reference", "bad-model-id"}
    assert len(hub.requests) == before


def test_a_key_that_the_trust_file_does_not_pin_writes_nothing(gate: Gate, tmp_path: Path) -> None:
    gate.admit(MODEL)
    other = make_gate(tmp_path / "other", gate.endpoint).settings
    log = gate.settings.log.read_bytes()
    (other.keys / "signing-key.pem").replace(gate.settings.keys / "signing-key.pem")
    assert refused(lambda: gate.admit("Acme-ML/Stored", alias="approved")) == "key-not-trusted"
    assert gate.settings.log.read_bytes() == log


def test_the_home_is_private_whatever_the_umask(tmp_path: Path, hub: LoopbackHub, gate: Gate) -> None:
    settings = gate.settings.model_copy(update={"home": tmp_path / "new" / "home"})
    before = os.umask(0)
    try:
        gate.scan(MODEL, settings=settings)
    finally:
        os.umask(before)
    assert settings.home.stat().st_mode & 0o777 == 0o700
    assert settings.work.stat().st_mode & 0o777 == 0o700
