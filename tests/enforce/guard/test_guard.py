"""The guard: ways round refused by the right code, ordinary programs undisturbed, and its edges."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from registry_gate.enforce.guard.allowed_names import ALLOWED
from registry_gate.policy import policies_folder
from registry_gate.testing.sample_release import sample_gate
from tests.enforce.guard.bypasses import EXPECTED
from tests.enforce.guard.ordinary import PROGRAMS

ROOT = Path(__file__).parents[3]
BYPASSES = [(code, case.__name__) for code, cases in EXPECTED.items() for case in cases]


def drive(kind: str, folder: Path) -> dict[str, object]:
    out = folder.parent / f"{kind}.json"
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "HF_HOME": str(folder / "hf"),
    }
    environment.pop("REGISTRY_GATE_GUARD", None)
    command = [sys.executable, "-m", "tests.enforce.guard.drive", kind, str(folder), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(out.read_text()) | {"stderr": done.stderr}


@pytest.fixture(scope="module")
def bypassed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    return drive("bypasses", tmp_path_factory.mktemp("bypasses"))


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    return drive("ordinary", tmp_path_factory.mktemp("ordinary"))


@pytest.mark.parametrize(("code", "case"), BYPASSES, ids=[case for _, case in BYPASSES])
def test_a_way_round_the_road_is_refused(code: str, case: str, bypassed: dict[str, object]) -> None:
    """It fails, with an event of the right code; a library may wrap the exception in one of its own."""
    result = next(one for one in bypassed["results"] if one["case"] == case)
    assert result["raised"], "it went through"
    assert code in result["events"]


def test_most_refusals_reach_the_caller_as_they_are(bypassed: dict[str, object]) -> None:
    wrapped = [one["case"] for one in bypassed["results"] if one["raised"] != one["expected"]]
    assert wrapped in ([], ["transformers_from_the_hub"])


def test_no_payload_ran(bypassed: dict[str, object]) -> None:
    assert bypassed["marker"] is False


@pytest.mark.parametrize("case", [one.__name__ for one in PROGRAMS])
def test_an_ordinary_program_is_undisturbed(case: str, ordinary: dict[str, object]) -> None:
    result = next(one for one in ordinary["results"] if one["case"] == case)
    assert (result["raised"], result["events"]) == ("", []), ordinary["stderr"][-2000:]


def test_the_names_are_those_of_the_allow_list() -> None:
    table = yaml.safe_load((policies_folder() / "pickle-allow-list.yaml").read_text())["globals"]
    assert {(module, name) for module, names in table.items() for name in names} == ALLOWED


def python(
    code: str, *arguments: str, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


EVIL = "import pickle; pickle.loads(b\"cposix\\nsystem\\n(S'true'\\ntR.\")"


def test_the_variable_guards_a_whole_process_and_its_children() -> None:
    done = python(EVIL, REGISTRY_GATE_GUARD="1")
    assert done.returncode == 1
    assert "guard-pickle" in done.stderr
    child = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {EVIL!r}]).returncode)"
    assert python(child, REGISTRY_GATE_GUARD="1").returncode == 1


def test_without_the_variable_nothing_is_installed() -> None:
    code = "import sys; print([n for n in sys.modules if n.startswith('registry_gate')])"
    assert python(code, REGISTRY_GATE_GUARD="0").stdout.strip() == "[]"


@pytest.mark.parametrize(
    "environment",
    [
        {"REGISTRY_GATE_GUARD": "maybe"},
        {"REGISTRY_GATE_GUARD": "1", "REGISTRY_GATE_GUARD_ALLOW": "everything"},
        {"REGISTRY_GATE_GUARD": "1", "REGISTRY_GATE_GUARD_SINCE": "yesterday"},
    ],
)
def test_a_guard_that_cannot_be_installed_ends_the_process(environment: dict[str, str]) -> None:
    done = python("print('ran')", **environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert "could not be installed" in done.stderr


def test_observe_reports_and_refuses_nothing(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    done = python(EVIL, REGISTRY_GATE_GUARD="observe", REGISTRY_GATE_GUARD_EVENTS=str(events))
    assert done.returncode == 0, done.stderr
    event = json.loads(events.read_text())
    assert (event["code"], event["refused"], event["subject"]) == (
        "guard-pickle",
        False,
        "a pickle asks for posix.system",
    )
    assert event["where"] == "<string>:1"


def test_a_class_is_allowed_by_its_exact_name_only() -> None:
    code = "import pickle, fractions; print(pickle.loads(pickle.dumps(fractions.Fraction(1, 2))))"
    assert "guard-pickle" in python(code, REGISTRY_GATE_GUARD="1").stderr
    allowed = {"REGISTRY_GATE_GUARD": "1", "REGISTRY_GATE_GUARD_ALLOW": "fractions:Fraction"}
    assert python(code, **allowed).stdout == "1/2\n"
    near = allowed | {"REGISTRY_GATE_GUARD_ALLOW": "fractions:Frac"}
    assert "guard-pickle" in python(code, **near).stderr


HANDED_OUT = """
import os, sys
from registry_gate import load_verified
from registry_gate.enforce.guard import GuardRefused, Terms, install
install(Terms(own_files=False))
folder = load_verified(sys.argv[1] + "/", trust=sys.argv[2], into="directory")
weights = folder / "model.safetensors"
open(weights, "rb").read()
print("opened")
os.chmod(weights, 0o600)
with open(weights, "r+b" if len(sys.argv) > 4 else "ab") as file:
    file.write(b"x")
try:
    open(weights, "rb")
except GuardRefused as error:
    print(error.code)
try:
    open(sys.argv[1] + "/model/model.safetensors", "rb")
except GuardRefused as error:
    print(error.code)
"""


def test_what_load_verified_handed_out_may_be_opened_until_it_is_changed(tmp_path: Path) -> None:
    gate = sample_gate(tmp_path / "home")
    root = gate.release(tmp_path / "made").root
    done = python(HANDED_OUT, str(root), str(gate.settings.trust))
    assert done.stdout.split() == ["opened", "guard-unverified-file", "guard-unverified-file"], done.stderr


def test_a_folder_of_pulled_releases_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    weights = tmp_path / "models" / "w.pt"
    weights.write_bytes(b"x")
    os.utime(weights, (1_600_000_000, 1_600_000_000))
    code = f"print(len(open({str(weights)!r}, 'rb').read()))"
    assert "guard-unverified-file" in python(code, REGISTRY_GATE_GUARD="1").stderr
    named = {"REGISTRY_GATE_GUARD": "1", "REGISTRY_GATE_GUARD_FOLDERS": str(tmp_path / "models")}
    assert python(code, **named).stdout == "1\n"
    (tmp_path / "elsewhere.pt").symlink_to(weights)
    (tmp_path / "models" / "out.pt").symlink_to(tmp_path / "stray.pt")
    (tmp_path / "stray.pt").write_bytes(b"y")
    os.utime(tmp_path / "stray.pt", (1_600_000_000, 1_600_000_000))
    stray = f"open({str(tmp_path / 'models' / 'out.pt')!r}, 'rb')"
    assert "guard-unverified-file" in python(stray, **named).stderr


def test_a_second_guard_only_narrows() -> None:
    code = (
        "import pickle, fractions\nfrom registry_gate.enforce.guard import *\n"
        "install(Terms())\ninstall(Terms(allow=frozenset({('fractions', 'Fraction')})))\n"
        "pickle.loads(pickle.dumps(fractions.Fraction(1, 2)))"
    )
    assert "guard-pickle" in python(code).stderr


def test_a_refusal_that_cannot_be_recorded_is_still_one(tmp_path: Path) -> None:
    done = python(EVIL, REGISTRY_GATE_GUARD="1", REGISTRY_GATE_GUARD_EVENTS=str(tmp_path / "no" / "x"))
    assert done.returncode == 1
    assert "not recorded" in done.stderr


def test_one_program_under_the_guard(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"import sys\nprint(sys.argv, __name__)\n{EVIL}\n")
    command = [sys.executable, "-m", "registry_gate.enforce.guarded", str(program), "a"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "guard-pickle" in done.stderr
    assert done.stdout.strip() == f"[{str(program)!r}, 'a'] __main__"


def test_a_test_suite_under_the_guard(tmp_path: Path) -> None:
    (tmp_path / "test_evil.py").write_text(f"def test_it():\n    {EVIL}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--registry-gate-guard"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "guard-pickle" in done.stdout + done.stderr


def test_the_guard_is_standard_library_only() -> None:
    code = (
        "import sys\nfrom registry_gate.enforce import guard\nguard.install(guard.Terms())\n"
        "print([n for n in ('pydantic', 'yaml', 'torch', 'numpy', 'typer') if n in sys.modules])"
    )
    assert python(code).stdout.strip() == "[]"
