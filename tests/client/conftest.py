from __future__ import annotations

from pathlib import Path

import pytest

from registry_gate.registry import Registry
from registry_gate.testing.sample_release import SampleStore, sample_gate


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> SampleStore:
    gate = sample_gate(tmp_path_factory.mktemp("store") / "home")
    return SampleStore(gate, Registry(gate.settings.registry_uri))


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
