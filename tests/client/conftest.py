from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_gate.registry import Registry
from registry_gate.testing.sample_release import SampleStore, sample_gate
from tests.client.mlflow_server import ADMIN, Server, running_server


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> SampleStore:
    gate = sample_gate(tmp_path_factory.mktemp("store") / "home")
    return SampleStore(gate, Registry(gate.settings.registry_uri))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def served(server: Server, tmp_path_factory: pytest.TempPathFactory) -> SampleStore:
    """A gate whose registry is the server."""
    gate = sample_gate(tmp_path_factory.mktemp("served") / "home")
    return SampleStore(gate, Registry(server.uri))


@pytest.fixture
def as_admin(served: SampleStore, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user is the gate's own, and the server's administrator."""
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(served.gate.settings.home))
    monkeypatch.setenv("REGISTRY_GATE_REGISTRY_URI", server.uri)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN[1])


@pytest.fixture(autouse=True)
def _user(store: SampleStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The user is the gate's own, and temporary copies go where a test can look for leaks."""
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(store.gate.settings.home))
    monkeypatch.delenv("REGISTRY_GATE_REGISTRY_URI", raising=False)
    monkeypatch.delenv("REGISTRY_GATE_TRUST", raising=False)
    scratch = tmp_path / "temporary"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where the client puts its temporary copies."""
    return tmp_path / "temporary"
