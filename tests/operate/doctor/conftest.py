"""A gate whose registry holds two admitted models, and a copy of it for every test to break."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry_gate.operate.doctor.probe import Installation, carry_out
from registry_gate.operate.doctor.run import chosen
from registry_gate.registry import Registry
from registry_gate.self_test import ProbeResult
from registry_gate.settings import Settings
from registry_gate.testing.sample_release import SampleGate, SampleStore, sample_gate

Try = Callable[..., ProbeResult]


@pytest.fixture
def home(tmp_path: Path) -> SampleGate:
    """Keys, trust and index that nobody else uses."""
    return sample_gate(tmp_path / "home")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> SampleStore:
    """A gate with two models in its embedded registry; a test that breaks it mends it."""
    folder = tmp_path_factory.mktemp("filled")
    gate = sample_gate(folder / "home")
    store = SampleStore(gate, Registry(gate.settings.registry_uri))
    for number, name in enumerate(("acme/one", "acme/two"), start=1):
        store.admit(folder / str(number), name, sequence=number)
    return store


@pytest.fixture
def attempt(tmp_path: Path) -> Try:
    """Run one probe: ``attempt(settings, code, policy=..., sample=...)``."""

    def run(
        settings: Settings, code: str, *, policy: str | Path = "default", sample: int = 20, ahead: float = 0.0
    ) -> ProbeResult:
        scratch = tmp_path / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        tested = Installation(
            settings, str(policy), scratch, sample, datetime.now(UTC), time.monotonic() + ahead
        )
        (probe,) = chosen([code])
        return carry_out(probe, tested)

    return run
