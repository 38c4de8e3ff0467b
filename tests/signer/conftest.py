from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_gate.testing.private_sigstore import PrivateSigstore
from registry_gate.testing.sample_release import SampleGate, sample_gate


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> SampleGate:
    return sample_gate(tmp_path_factory.mktemp("gate") / "home")


@pytest.fixture
def own_gate(tmp_path: Path) -> SampleGate:
    return sample_gate(tmp_path / "own-home")


@pytest.fixture(scope="module")
def sigstore() -> Iterator[PrivateSigstore]:
    with PrivateSigstore() as double:
        for earlier in (b"of others", b"before us", b"in the log"):
            double.log.tree.append(earlier)  # so that an inclusion proof has something to prove
        yield double
