"""SIGKILL half-way through the download and through the conversion: the next run goes on from there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from registry_gate import settings as settings_of
from registry_gate.admission import Request, scan
from registry_gate.policy import load_policy
from registry_gate.settings import Settings
from registry_gate.testing.hub import LoopbackHub
from tests.e2e.conftest import loopback_policy_file

MODEL = "acme-ml/killed"
STATE = {f"layers.{number}.weight": torch.randn(700, 1000) for number in range(12)}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    torch.save(STATE, tmp_path / "pytorch_model.bin")
    with LoopbackHub() as running:
        files = {"pytorch_model.bin": (tmp_path / "pytorch_model.bin").read_bytes(), "README.md": b"card\n"}
        running.add_repo(MODEL, files)
        yield running


@pytest.fixture
def request_(tmp_path: Path, hub: LoopbackHub) -> Request:
    policy = load_policy(loopback_policy_file(tmp_path))
    settings = settings_of.load(tmp_path / "home", administrator_trust=tmp_path / "none.json")
    return Request(MODEL, policy=policy, settings=settings, endpoint=hub.url)


def killed(request: Request, stage: str, beyond: float) -> None:
    """Run in a fork that is killed once a stage has got so far."""
    child = os.fork()
    if child == 0:

        def at(name: str, done: int, total: int) -> None:
            if name == stage and done > beyond * total:
                os.kill(os.getpid(), signal.SIGKILL)

        scan(request, progress=at)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it was not killed"


def first_progress(stage: str, seen: list[int]) -> Callable[[str, int, int], None]:
    def note(name: str, done: int, _total: int) -> None:
        if name == stage:
            seen.append(done)

    return note


def left(settings: Settings) -> list[Path]:
    return list(settings.work.glob("*+run-*"))


def test_a_download_goes_on(hub: LoopbackHub, request_: Request) -> None:
    killed(request_, "download", 0.5)
    assert len(left(request_.settings)) == 1
    before = len(hub.requests)
    scan(request_)
    asked = [item for item in hub.requests[before:] if "pytorch_model.bin" in item.target]
    ranges = [item.headers.get("range", "") for item in asked if item.method == "GET"]
    assert len(ranges) == 1 and int(ranges[0].removeprefix("bytes=").rstrip("-")) > 0
    assert not left(request_.settings)


def test_a_conversion_is_taken_up_and_nothing_is_fetched_again(
    hub: LoopbackHub, request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(request_, "convert", 0.5)
    (run,) = left(request_.settings)
    partial = run / "staged.partial" / "model.safetensors"
    assert partial.exists() and not (run / "staged").exists(), "nothing half done under the final name"
    before, inode = len(hub.requests), partial.stat().st_ino

    from registry_gate import examination
    from registry_gate.weights.stream import stage

    def kept(*arguments: object, **named: object) -> object:
        staged = stage(*arguments, **named)  # type: ignore[arg-type]
        file = staged.root / "model.safetensors"
        assert file.stat().st_ino == inode, "the file that the killed run had begun"
        loaded = load_file(file)
        assert all(torch.equal(loaded[name], tensor) for name, tensor in STATE.items())
        return staged

    monkeypatch.setattr(examination, "stage", kept)
    scan(request_)
    assert not [item for item in hub.requests[before:] if "/resolve/" in item.target]
    assert not left(request_.settings)
