"""The commands of those who use admitted models, through the real command line."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from registry_gate.cli.app import run
from registry_gate.policy import SHIPPED, load_policy
from registry_gate.signing.trust import load_trust
from registry_gate.testing.sample_release import SampleStore


def test_verify_says_what_was_verified(
    store: SampleStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.admit(tmp_path, "acme/shown")
    assert run(["verify", "acme/shown"]) == 0
    shown = capsys.readouterr()
    assert "acme/shown" in shown.out
    assert shown.err == ""
    assert run(["verify", "acme/shown", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["id"], document["name"]) == ("acme/shown", "acme--shown")


def test_verify_refuses_with_status_two(
    store: SampleStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(store.folder(store.admit(tmp_path / "made", "acme/refusedhere")), folder)
    (folder / "model/config.json").write_bytes(b"{}")
    assert run(["verify", str(folder)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("bytes-differ: ")
    assert run(["verify", str(folder), "--trust", str(store.gate.settings.trust), "--format", "json"]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "acme/never-admitted"],
        ["verify", "not a reference"],
        ["verify", "acme/x", "--trust", "/nonexistent/trust.json"],
        ["verify", "acme/x", "--registry-uri", "mlruns"],
        ["verify", "acme/x", "--format", "xml"],
        ["pull", "acme/x"],
    ],
)
def test_what_was_not_looked_at_is_status_one(
    arguments: list[str], store: SampleStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err


def test_pull_makes_a_copy_that_verifies(
    store: SampleStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.admit(tmp_path / "made", "acme/pulledhere")
    destination = tmp_path / "copy"
    assert run(["pull", "acme/pulledhere", str(destination)]) == 0
    assert str(destination) in capsys.readouterr().out
    assert run(["verify", str(destination)]) == 0
    assert run(["pull", "acme/pulledhere", str(destination)]) == 1
    assert "destination-not-empty" in capsys.readouterr().err


def test_keys_are_made_once_and_policies_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    assert run(["keys", "init", "--home", str(home)]) == 0
    assert "PRIVATE" not in capsys.readouterr().out
    assert stat.S_IMODE((home / "keys/signing-key.pem").stat().st_mode) == 0o600
    trust = load_trust(home / "trust.json")
    assert trust.policies == tuple(load_policy(name).digest() for name in SHIPPED)
    assert run(["keys", "init", "--home", str(home)]) == 1
    assert "keys-exist" in capsys.readouterr().err

    own = load_policy("default").model_copy(update={"name": "own"})
    (tmp_path / "own.yaml").write_text(own.model_dump_json())  # JSON is YAML
    assert run(["keys", "trust-policy", str(tmp_path / "own.yaml"), "--home", str(home)]) == 0
    assert load_trust(home / "trust.json").policies == (*trust.policies, own.digest())
    capsys.readouterr()
    assert run(["keys", "show", "--home", str(home)]) == 0
    shown = capsys.readouterr().out
    assert own.digest() in shown
    assert trust.keys[0].key_id in shown
    assert run(["keys", "trust-policy", "/nonexistent.yaml", "--home", str(home)]) == 1
