from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_gate.errors import Error
from registry_gate.index.read import read_index
from registry_gate.settings import Settings
from registry_gate.signing.trust import Trust
from registry_gate.testing.sample_release import SampleGate, sample_gate


@pytest.fixture
def gate(tmp_path: Path) -> SampleGate:
    return sample_gate(tmp_path / "gate")


@dataclass
class Reader:
    """Somebody who loads: a home of their own, so a memory of their own, and the gate's trust file."""

    settings: Settings
    trust: Trust

    def read(self) -> int:
        return read_index(self.settings, self.trust).number

    def refused(self) -> str:
        with pytest.raises(Error) as caught:
            self.read()
        return caught.value.code


def new_reader(gate: SampleGate, home: Path) -> Reader:
    settings = gate.settings.model_copy(update={"home": home, "index": str(gate.settings.own_index)})
    return Reader(settings, gate.trust)


@pytest.fixture
def reader(gate: SampleGate, tmp_path: Path) -> Reader:
    return new_reader(gate, tmp_path / "reader")


def kept_copy(folder: Path, to: Path) -> Path:
    """What somebody with an eye on the index keeps for later."""
    return Path(shutil.copytree(folder, to))


def put_back(old: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(old, folder)
