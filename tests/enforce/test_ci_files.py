"""action.yml, the pre-commit hooks and the CI examples: read by their own tools, and run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from registry_gate.enforce.audit.texts import read_groovy

ROOT = Path(__file__).parents[2]
LOAD = 'from transformers import AutoModel\nAutoModel.from_pretrained("acme-labs/tiny")\n'
BIN = Path(sys.executable).parent


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "REGISTRY_GATE_HOME": str(folder / "home"),
        "HOME": str(folder / "home"),
    }


def test_action_is_composite_and_takes_no_input_into_a_script() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    for step in action["runs"]["steps"]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]


def test_action_passes_zizmor() -> None:
    command = [str(BIN / "zizmor"), "--offline", "--no-progress", str(ROOT / "action.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def run_audit_step(folder: Path, **inputs: str) -> tuple[int, str, str]:
    """Run the action's audit step as the runner does: its inputs as variables, its outputs in files."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    step = action["runs"]["steps"][1]
    given = {name: str(one.get("default", "")) for name, one in action["inputs"].items()} | inputs
    variables = {
        name: given[text.removeprefix("${{ inputs.").removesuffix(" }}")]
        for name, text in step["env"].items()
    }
    files = {"GITHUB_OUTPUT": str(folder / "output"), "GITHUB_STEP_SUMMARY": str(folder / "summary")}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=folder / "code",
        env=environment(folder) | variables | files,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, (folder / "output").read_text(), (folder / "summary").read_text()


def test_action_fails_on_findings_and_leaves_a_report(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text(LOAD)
    status, output, summary = run_audit_step(tmp_path)
    assert status == 2
    assert output.splitlines() == ["sarif-file=registry-gate.sarif", "findings=1"]
    assert "hub-load" in summary
    assert json.loads((tmp_path / "code" / "registry-gate.sarif").read_text())["version"] == "2.1.0"


def test_action_passes_clean_code_and_a_hostile_path(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("x = 1\n")
    assert run_audit_step(tmp_path, paths="a.py", **{"sarif-file": ""})[0] == 0
    status, _, _ = run_audit_step(tmp_path, paths="a.py $(touch marker)", **{"sarif-file": ""})
    assert status == 1
    assert not (tmp_path / "code" / "marker").exists()


def git(*arguments: str, cwd: Path, env: dict[str, str]) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(
        ["git", *identity, *arguments], cwd=cwd, env=env, check=True, capture_output=True, timeout=60
    )


@pytest.fixture
def hooked(tmp_path: Path) -> Path:
    """A repository with the hook of this checkout; with ``system`` nothing is fetched."""
    hook = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())[0] | {"language": "system"}
    repository = tmp_path / "code"
    repository.mkdir()
    configuration = {"repos": [{"repo": "local", "hooks": [hook]}]}
    (repository / ".pre-commit-config.yaml").write_text(yaml.safe_dump(configuration))
    git("init", "-q", cwd=repository, env=environment(tmp_path))
    return repository


def run_hooks(repository: Path) -> subprocess.CompletedProcess[str]:
    env = environment(repository.parent)
    git("add", "-A", cwd=repository, env=env)
    command = [str(BIN / "pre-commit"), "run", "--all-files"]
    return subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True, timeout=120)


def test_pre_commit_stops_a_bypass_and_passes_the_rest(hooked: Path) -> None:
    (hooked / "a.py").write_text("x = 1\n")
    (hooked / "notes.rst").write_text("from_pretrained\n")
    done = run_hooks(hooked)
    assert done.returncode == 0, done.stdout + done.stderr
    (hooked / "a.py").write_text(LOAD)
    (hooked / "Dockerfile").write_text("FROM x\nRUN hf download acme-labs/tiny\n")
    done = run_hooks(hooked)
    assert done.returncode == 1
    assert "hub-load" in done.stdout
    assert "hub-download" in done.stdout


def test_hooks_file_is_what_pre_commit_accepts(tmp_path: Path) -> None:
    command = [str(BIN / "pre-commit"), "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def run_lines(lines: list[str], folder: Path, **variables: str) -> list[int]:
    return [
        subprocess.run(
            ["bash", "-c", line],
            cwd=folder / "code",
            env=environment(folder) | variables,
            capture_output=True,
            timeout=120,
        ).returncode
        for line in lines
    ]


def test_gitlab_job(tmp_path: Path) -> None:
    document = yaml.safe_load((ROOT / "examples/ci/gitlab-ci.yml").read_text())
    job = document["registry-gate-audit"]
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text(LOAD)
    assert run_lines(job["script"], tmp_path, **document["variables"]) == [0, 0, 2]
    for path in job["artifacts"]["paths"]:
        assert (tmp_path / "code" / path).is_file()


def test_jenkins_stage(tmp_path: Path) -> None:
    text = (ROOT / "examples/ci/Jenkinsfile").read_text()
    assert text.count("{") == text.count("}")
    steps = [
        line.strip().removeprefix("sh '").removesuffix("'") for line in text.splitlines() if "sh '" in line
    ]
    assert len(steps) == 3
    assert read_groovy(text).sightings == ()
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text(LOAD)
    assert run_lines(steps, tmp_path) == [0, 0, 2]
