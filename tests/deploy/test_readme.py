"""deploy/README.md: its console blocks run, and what only a cluster could run at least names what exists."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from registry_gate.registry import Registry
from registry_gate.testing.sample_release import SampleStore, sample_gate
from tests.deploy.dockerfile import stages
from tests.deploy.kustomize import render
from tests.deploy.policy_engines import ROOT
from tests.docs.console import run_page
from tests.enforce.test_admitted import admit

PAGE = ROOT / "deploy/README.md"
COMMANDS = re.findall(
    r"^(?:[a-z-]+ .*)$", "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)), re.MULTILINE
)


def test_what_can_run_here_runs_and_prints_what_is_shown(tmp_path: Path) -> None:
    gate = sample_gate(tmp_path / "home")
    store = SampleStore(gate, Registry(gate.settings.registry_uri))
    receipt = admit(store, tmp_path / "made", "acme/tiny")
    store.registry.set_alias(receipt.registered_name, "approved", receipt.version)
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "deploy").symlink_to(ROOT / "deploy")
    environment = {
        **os.environ,
        "REGISTRY_GATE_HOME": str(gate.settings.home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    assert run_page(PAGE, folder, environment) == 7


def test_every_kustomization_that_is_named_renders() -> None:
    named = re.findall(r"kubectl (?:apply -k|kustomize) (\S+?)`?(?:\s|$)", PAGE.read_text())
    assert len(named) >= 5
    for name in named:
        assert render(ROOT / name.rstrip("`:.,"))


def test_every_file_and_build_target_that_is_named_exists() -> None:
    for command in COMMANDS:
        for name in re.findall(r"(?:-f|--policy|cp \S+) ((?:deploy|tests)/\S+)", command):
            assert (ROOT / name).exists() or name == "deploy/container/trust.json", command
        if command.startswith("docker build"):
            (path,) = re.findall(r"-f (\S+)", command)
            (target,) = re.findall(r"--target (\S+)", command)
            assert target in {stage.name for stage in stages(ROOT / path)[1]}
    for name in re.findall(r"`((?:container|kubernetes|falco|enforcement)/[\w./-]*)`", PAGE.read_text()):
        assert (ROOT / "deploy" / name).exists(), name


def test_every_command_is_one_of_ours_or_one_the_page_introduces() -> None:
    assert {command.split()[0] for command in COMMANDS} == {
        "pip", "registry-gate", "export", "cp", "docker", "kubectl", "conftest",
    }  # fmt: skip


def test_the_sh_blocks_name_commands_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    from registry_gate.cli.app import run

    for command in (command.split()[1] for command in COMMANDS if command.startswith("registry-gate ")):
        assert run([command, "--help"]) == 0
        assert "Usage" in capsys.readouterr().out
