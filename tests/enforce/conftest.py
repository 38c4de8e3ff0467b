from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_gate.registry import Registry
from registry_gate.testing.sample_release import SampleStore, sample_gate
from tests.enforce.house import House, furnished


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> House:
    """A gate with a model of every standing; nobody may change it."""
    return furnished(tmp_path_factory.mktemp("house"), empty_registry)


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded registry, whose tables take seconds to make."""
    gate = sample_gate(tmp_path_factory.mktemp("registry") / "home")
    Registry(gate.settings.registry_uri).names()
    return gate.settings.home / "registry"


@pytest.fixture
def new_store(empty_registry: Path) -> Callable[[Path], SampleStore]:
    """Makes a gate with an empty registry of its own."""

    def make(home: Path) -> SampleStore:
        gate = sample_gate(home)
        shutil.copytree(empty_registry, gate.settings.home / "registry")
        return SampleStore(gate, Registry(gate.settings.registry_uri))

    return make
