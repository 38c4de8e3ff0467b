from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from registry_gate.testing.sample_release import SampleGate, sample_gate


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory) -> SampleGate:
    return sample_gate(tmp_path_factory.mktemp("gate") / "home")


@pytest.fixture(scope="session")
def other_gate(tmp_path_factory: pytest.TempPathFactory) -> SampleGate:
    return sample_gate(tmp_path_factory.mktemp("other-gate") / "home")


@pytest.fixture(scope="session")
def master(gate: SampleGate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gate.release(tmp_path_factory.mktemp("master")).root


@pytest.fixture
def release(master: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(master, tmp_path / "release"))
