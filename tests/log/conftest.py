from __future__ import annotations

import pytest

from registry_gate.testing.sample_release import SampleGate, sample_gate


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory) -> SampleGate:
    return sample_gate(tmp_path_factory.mktemp("gate") / "home")
