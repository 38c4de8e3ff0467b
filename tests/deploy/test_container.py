"""The images: linted, held to rules, and their entry points run under the same restrictions.

No container engine runs where these tests run, so no image is built: what `pip install --target` would put
there is this checkout and its environment, shown at the same places, and the interpreter is this one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from registry_gate.examine.sandbox import available_sandboxes
from registry_gate.runtime.predictions import Reading
from registry_gate.testing.sample_release import SampleGate, sample_gate
from registry_gate.testing.toy_text import write_text_classifier
from tests.deploy.dockerfile import Stage, stages
from tests.deploy.policy_engines import ROOT

HERE = ROOT / "deploy/container"
DOCKERFILES = sorted(HERE.glob("*.Dockerfile"))
FINAL = {"puller": "gate.Dockerfile", "gate": "gate.Dockerfile", "server": "serving.Dockerfile"}
HADOLINT = Path(sys.executable).with_name("hadolint")


def final(name: str) -> Stage:
    (stage,) = [stage for stage in stages(HERE / FINAL[name])[1] if stage.name == name]
    return stage


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path: Path) -> None:
    if not HADOLINT.exists():
        pytest.skip("HADOLINT IS NOT INSTALLED: the Dockerfiles are NOT linted here")
    done = subprocess.run([HADOLINT, "--failure-threshold", "info", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_every_stage_comes_from_a_named_argument_or_another_stage(path: Path) -> None:
    arguments, found = stages(path)
    assert set(arguments) == {"BUILD_IMAGE", "RUN_IMAGE"}
    assert all(re.search(r":[a-z0-9.-]+$", image) and "latest" not in image for image in arguments.values())
    names = {stage.name for stage in found}
    assert all(stage.image in {"${BUILD_IMAGE}", "${RUN_IMAGE}"} | names for stage in found)


@pytest.mark.parametrize("name", FINAL)
def test_an_image_that_runs_has_no_shell_form_no_root_and_nothing_it_could_change(name: str) -> None:
    stage = final(name)
    assert stage.image == "${RUN_IMAGE}"
    words = [word for word, _ in stage.instructions]
    assert not {"RUN", "ADD", "VOLUME", "SHELL", "ARG"} & set(words)
    assert re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", stage.last("USER"))
    assert words.index("USER") < words.index("ENTRYPOINT")
    for word, rest in stage.instructions:
        if word == "COPY":
            assert "--chown=0:0" in rest  # root's, so that the user who runs cannot write them
    assert stage.words("ENTRYPOINT")[:2] == ["/usr/bin/python3.11", "-I"]
    assert "HEALTHCHECK" in words


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_nothing_is_fetched_but_packages_and_no_secret_is_named(path: Path) -> None:
    for stage in stages(path)[1]:
        for word, rest in stage.instructions:
            assert "://" not in rest
            assert not re.search(r"(?i)password|secret|token|private|curl|wget", rest)
            if word == "COPY" and "--from" not in rest:
                for source in [item for item in rest.split()[:-1] if not item.startswith("--")]:
                    assert source == "deploy/container/trust.json" or (ROOT / source).exists(), source


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_the_build_stage_copies_is_enough_to_build_the_package(path: Path, tmp_path: Path) -> None:
    (build,) = [stage for stage in stages(path)[1] if stage.name == "build"]
    source = tmp_path / "src"
    source.mkdir()
    for copied in (rest.split()[:-1] for word, rest in build.instructions if word == "COPY"):
        for name in copied:
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "."]
    done = subprocess.run(
        [*command, "--wheel-dir", str(tmp_path)], cwd=source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert list(tmp_path.glob("registry_gate-*.whl"))


def test_the_constraints_are_the_versions_of_the_lock() -> None:
    """What the sed of both Dockerfiles makes of the lock, run here."""
    (line,) = {
        rest
        for path in DOCKERFILES
        for s in stages(path)[1]
        for word, rest in s.instructions
        if "sed" in rest
    }
    command = line.partition(" > ")[0]
    made = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    lock = (ROOT / "requirements.lock").read_text()
    wanted = re.findall(r"^([A-Za-z0-9._-]+(?:\[[a-z,-]+\])?==[^ ;\\\n]+)", lock, re.MULTILINE)
    assert made.split() == wanted
    assert len(wanted) > 100
    for needed in ("cryptography", "pydantic", "pyyaml", "rich", "typer"):
        assert any(item.lower().startswith(f"{needed}==") for item in wanted)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> SampleGate:
    if "bubblewrap" not in available_sandboxes():
        pytest.skip("BUBBLEWRAP DOES NOT WORK HERE: the entry points are NOT run")
    return sample_gate(tmp_path_factory.mktemp("gate") / "home")


@pytest.fixture(scope="module")
def release(gate: SampleGate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_text_classifier(folder / "model", steps=1, safetensors=True)
    kept = ("config.json", "model.safetensors", "vocab.txt", "tokenizer.json", "tokenizer_config.json")
    files = {
        name: (folder / "model" / name).read_bytes() for name in kept if (folder / "model" / name).exists()
    }
    return gate.release(folder / "signed", "acme/tiny", files).root


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the one `pip install --target` makes: this environment's packages and this checkout's."""
    folder = tmp_path_factory.mktemp("site") / "site-packages"
    folder.mkdir()
    import pydantic

    for path in Path(pydantic.__file__).parents[1].iterdir():
        if path.suffix != ".pth" and path.name != "registry_gate":
            (folder / path.name).symlink_to(path)
    (folder / "registry_gate").symlink_to(ROOT / "registry_gate")
    return folder


def confined(stage: Stage, gate: SampleGate, packages: Path, shown: list[str]) -> list[str]:
    """bubblewrap with what the pod's security context asks for: another user, no capability, no network, a
    read-only root, its own /tmp, and only the image's environment."""
    python = Path(sys.executable).resolve().parent.parent
    command = [
        "bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        "--cap-drop",
        "ALL",
    ]
    user, group = stage.last("USER").split(":")
    command += ["--uid", user, "--gid", group, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for name, value in stage.environment().items():
        command += ["--setenv", name, value]
    for path in map(Path, ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache")):
        if path.is_symlink():
            command += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            command += ["--ro-bind", str(path), str(path)]
    for path in {python, (packages / "pydantic").resolve().parent, ROOT / "registry_gate", ROOT / "policies"}:
        command += ["--ro-bind", str(path), str(path)]
    command += ["--ro-bind", str(packages), "/opt/registry-gate/site-packages"]
    for name in ("entry.py", "serve.py"):
        command += ["--ro-bind", str(HERE / name), f"/opt/registry-gate/{name}"]
    command += ["--ro-bind", str(gate.settings.trust), "/etc/registry-gate/trust.json"]
    # In a cluster the index comes from the registry; here it lies where the trust file says.
    command += ["--ro-bind", str(gate.settings.own_index), str(gate.settings.own_index)]
    return [*command, *shown, "--remount-ro", "/", "--chdir", "/tmp", "--"]


def entry(stage: Stage) -> list[str]:
    python, *rest = stage.words("ENTRYPOINT")
    assert python == "/usr/bin/python3.11"
    return [str(Path(sys.executable).resolve()), *rest]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


@pytest.mark.parametrize("name", ["puller", "gate"])
def test_the_entry_point_verifies_and_refuses(
    name: str, gate: SampleGate, release: Path, packages: Path, tmp_path: Path
) -> None:
    stage = final(name)
    shutil.copytree(release, tmp_path / "changed")
    (tmp_path / "changed/model/vocab.txt").write_bytes(b"changed")
    shown = ["--ro-bind", str(release), "/release", "--ro-bind", str(tmp_path / "changed"), "/changed"]
    good = run([*confined(stage, gate, packages, shown), *entry(stage), "verify", "/release"])
    assert (good.returncode, good.stderr) == (0, "")
    assert "acme/tiny" in good.stdout
    bad = run([*confined(stage, gate, packages, shown), *entry(stage), "verify", "/changed"])
    assert bad.returncode == 2
    assert bad.stderr.startswith("bytes-differ")
    taught = run([*confined(stage, gate, packages, shown), *entry(stage), *stage.words("CMD")])
    assert taught.returncode == 0
    assert "registry-gate" in taught.stdout


def test_what_is_put_beside_the_entry_point_is_not_run(
    gate: SampleGate, release: Path, packages: Path, tmp_path: Path
) -> None:
    """A module in the working folder or on PYTHONPATH would be code from a volume."""
    (tmp_path / "typer.py").write_text("raise SystemExit(99)")
    stage = final("puller")
    shown = ["--ro-bind", str(release), "/release", "--ro-bind", str(tmp_path), "/tmp/work"]
    shown += ["--setenv", "PYTHONPATH", "/tmp/work", "--setenv", "PYTHONSTARTUP", "/tmp/work/typer.py"]
    command = confined(stage, gate, packages, shown)
    command[command.index("--chdir") + 1] = "/tmp/work"
    assert run([*command, *entry(stage), "verify", "/release"]).returncode == 0


_ASK = """
import json, subprocess, sys, time, urllib.request
health, serve = json.loads(sys.argv[1]), json.loads(sys.argv[2])
running = subprocess.Popen(serve)
for _ in range(600):
    if running.poll() is not None or subprocess.run(health, capture_output=True).returncode == 0:
        break
    time.sleep(0.2)
ask = lambda path, data=None: json.load(urllib.request.urlopen("http://127.0.0.1:8080" + path, data))
said = {"health": ask("/healthz"), "answer": ask("/predict", json.dumps({"text": "a lovely film"}).encode())}
try:
    open("/models/model/model/added.json", "w")
except OSError as error:
    said["write"] = error.strerror
running.kill()
print(json.dumps(said))
"""


def test_a_pod_from_end_to_end(gate: SampleGate, release: Path, packages: Path, tmp_path: Path) -> None:
    """The init container pulls into the volume; the server loads it read-only and answers over loopback."""
    volume, logs = tmp_path / "models", tmp_path / "logs"
    volume.mkdir()
    logs.mkdir()
    (logs / "key").write_bytes(os.urandom(32))
    puller, server = final("puller"), final("server")
    shown = ["--ro-bind", str(release), "/release", "--bind", str(volume), "/models"]
    pulled = run(
        [*confined(puller, gate, packages, shown), *entry(puller), "pull", "/release", "/models/model"]
    )
    assert (pulled.returncode, pulled.stderr) == (0, "")
    shown = ["--ro-bind", str(volume), "/models", "--bind", str(logs), "/logs"]
    shown += ["--setenv", "REGISTRY_GATE_PREDICTIONS", "/logs/predictions.jsonl"]
    shown += ["--setenv", "REGISTRY_GATE_PREDICTIONS_KEY", "/logs/key"]
    health = server.last("HEALTHCHECK").partition("CMD ")[2].replace("/usr/bin/python3.11", entry(server)[0])
    python = entry(server)[0]
    command = [
        *confined(server, gate, packages, shown),
        python,
        "-I",
        "-c",
        _ASK,
        health,
        json.dumps(entry(server)),
    ]
    done = run(command)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["health"]["model"] == "acme/tiny"
    assert said["answer"]["label"] in ("positive", "negative")
    assert said["write"] == "Read-only file system"
    (line,) = Reading(logs / "predictions.jsonl")
    assert (line.label, line.model) == (said["answer"]["label"], said["health"]["manifest"])
