"""The whole drill, once, as a person runs it; then what it printed, wrote and left alone."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from registry_gate.drill import json_document, markdown, text
from registry_gate.drill.catalogue import catalogue
from registry_gate.drill.document import DrillReport, Outcome
from registry_gate.drill.gate import GATE_CONTROLS
from tests.deploy.policy_engines import ROOT
from tests.docs.console import run_page

pytestmark = pytest.mark.timeout(900)
PAGE = ROOT / "docs/drill.md"


@dataclass(frozen=True)
class Run:
    """One run of the command, in an environment that names a user's own gate."""

    status: int
    said: str
    complained: str
    report: DrillReport
    written: Path
    user: Path
    scratch: Path
    cpu_seconds: float


def environment(user: Path, scratch: Path) -> dict[str, str]:
    """A user with a gate of their own, which no drill may touch."""
    return os.environ | {
        "OMP_NUM_THREADS": "1",  # threads that wait for each other cost more on a busy machine
        "HOME": str(user),
        "TMPDIR": str(scratch),
        "REGISTRY_GATE_HOME": str(user / "gate"),
        "REGISTRY_GATE_REGISTRY_URI": f"sqlite:///{user}/registry.db",
        "REGISTRY_GATE_TRUST": str(user / "trust.json"),
        "REGISTRY_GATE_SIGN_WITH": "certificate",
        "REGISTRY_GATE_GUARD_EVENTS": str(user / "events.jsonl"),
        "http_proxy": "http://127.0.0.1:9",
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "MLFLOW_TRACKING_URI": f"sqlite:///{user}/mlflow.db",
    }


def command(*arguments: str, user: Path, scratch: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "registry_gate", "drill", *arguments],
        cwd=user,
        env=environment(user, scratch),
        capture_output=True,
        text=True,
        timeout=800,
    )


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("drill")
    user, scratch, written = folder / "user", folder / "scratch", folder / "after-action"
    user.mkdir()
    scratch.mkdir()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = command("--format", "json", "--output", str(written), user=user, scratch=scratch)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout, done.stderr
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report = DrillReport.from_json(done.stdout)
    return Run(done.returncode, done.stdout, done.stderr, report, written, user, scratch, cpu)


def test_every_stage_is_stopped_and_caught_by_two_independent_controls(drill: Run) -> None:
    assert drill.status == 0, drill.report.weak
    assert [stage.stage for stage in drill.report.stages] == [stage.id for stage in catalogue().stages]
    for stage in drill.report.stages:
        assert stage.stopped
        assert stage.independent >= 2, stage.stage
        assert all(proof.seen for proof in stage.proofs), stage.stage
        assert stage.proofs
    assert drill.report.passed


def test_it_costs_less_than_three_minutes_of_one_core(drill: Run) -> None:
    """The bar is three minutes on two cores; on a shared machine wall time says less than CPU time."""
    assert drill.cpu_seconds < 180


def test_the_honest_model_meets_every_control_and_none_stops_it(drill: Run) -> None:
    asked = {one.control for one in drill.report.honest}
    assert asked >= GATE_CONTROLS | {"audit", "guard", "index", "admission-policy", "egress", "falco"}
    assert {one.outcome for one in drill.report.honest} == {Outcome.MISSED}


def test_nothing_of_a_candidate_ran_and_the_pickle_is_shown_as_a_tree(drill: Run) -> None:
    assert not drill.report.marker_written
    (side_load,) = [stage for stage in drill.report.stages if stage.stage == "side-load"]
    assert re.search(r"os\.system\('touch .*the-pickle-ran'\)", side_load.tree)


def test_nothing_of_the_users_is_touched_and_nothing_is_left(drill: Run) -> None:
    assert list(drill.user.iterdir()) == []
    left = [path.name for path in drill.scratch.iterdir() if not path.name.startswith("torchinductor_")]
    assert left == []  # importing torch makes an empty cache folder of its own
    assert drill.complained == ""


def test_controls_say_what_they_cannot_do(drill: Run) -> None:
    """Known holes that the drill must go on showing: they are why there is a second control."""
    said = {(one.stage, one.control): one.outcome for stage in drill.report.stages for one in stage.readings}
    assert said["stolen-key", "signature"] is Outcome.MISSED
    assert said["exfiltration", "guard"] is Outcome.MISSED
    assert said["backdoor", "behaviour"] in (Outcome.STOPPED, Outcome.MISSED), "a statistic may miss"
    assert said["backdoor", "drift"] is Outcome.ALARMED


def test_the_matrix_has_a_replay_for_each_control_asked_and_each_is_what_the_readings_say(drill: Run) -> None:
    report = drill.report
    asked = {
        (one.stage, one.control)
        for stage in report.stages
        for one in stage.readings
        if one.outcome not in (Outcome.OFF, Outcome.UNAVAILABLE)
    }
    assert {(one.stage, one.without) for one in report.replays} == asked
    stopped = {
        stage.stage: [one.control for one in stage.readings if one.outcome is Outcome.STOPPED]
        for stage in report.stages
    }
    for one in report.replays:
        left = [control for control in stopped[one.stage] if control != one.without]
        assert one.stopped_by == (left[0] if left else None)
        assert (one.gate is not None) == (one.stage in ("look-alike", "backdoor"))


def test_the_response_holds_and_is_timed(drill: Run) -> None:
    steps = drill.report.response
    assert [step.held for step in steps] == [True] * 5
    assert "revoked" in [step.code for step in steps]
    assert steps[1].seconds > 0


def test_the_report_is_written_and_fits_its_schema(drill: Run) -> None:
    assert (drill.written / "report.json").read_text() == drill.said
    jsonschema.validate(json.loads(drill.said), json.loads(json_document.committed_schema()))
    page = (drill.written / "report.md").read_text()
    assert page == markdown.render(drill.report)
    for stage in drill.report.stages:
        assert f"### {stage.stage}:" in page
        for technique in stage.techniques:
            assert technique.url in page


def test_the_committed_schema_is_the_model() -> None:
    assert json_document.schema() == json_document.committed_schema()


def test_the_page_shows_what_is_printed(drill: Run) -> None:
    """The long block of the page but for its numbers; what the behaviour tests say may change."""
    (shown,) = re.findall(r"^```text\n(drill .*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert _shape(shown) == _shape(text.render(drill.report))


def _shape(printed: str) -> list[str]:
    lines = [re.sub(r"\b[0-9a-f]{16}…|\d+(\.\d+)?%?", "N", line) for line in printed.splitlines()]
    lines = [re.sub(r"^  behaviour .*", "  behaviour", re.sub(r" +", " ", line)) for line in lines]
    return [line for line in lines if not line.startswith("machine")]


def test_the_pages_commands_run(tmp_path: Path) -> None:
    user, scratch = tmp_path / "user", tmp_path / "scratch"
    for folder in (user, scratch):
        folder.mkdir()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = environment(user, scratch) | {"PATH": path, "PYTHONPATH": str(ROOT)}
    assert run_page(PAGE, tmp_path, env) == 2


def test_a_stage_that_gets_through_is_said_and_is_exit_status_2(tmp_path: Path) -> None:
    """The guard alone is left, and it does not know the address: the data reaches the listener."""
    user, scratch = tmp_path / "user", tmp_path / "scratch"
    for folder in (user, scratch):
        folder.mkdir()
    off = ("--without", "sandbox", "--without", "egress")
    done = command("--stage", "exfiltration", *off, user=user, scratch=scratch)
    assert done.returncode == 2, done.stderr
    assert "GOT THROUGH" in done.stdout
    assert "weak       exfiltration: got through" in done.stdout
    assert "without    egress, sandbox" in done.stdout
    assert "NOT PASSED 0 of 1 stages stopped" in done.stdout
    assert re.search(r"^  sandbox +off", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    "arguments", [("--stage", "no-such"), ("--without", "no-such"), ("--format", "pdf"), ("--output", "FILE")]
)
def test_usage_errors_are_1_at_once(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    file = tmp_path / "file"
    file.write_text("")
    given = [str(file) if one == "FILE" else one for one in arguments]
    done = command(*given, user=tmp_path, scratch=tmp_path)
    assert done.returncode == 1
    assert done.stderr
    assert "Traceback" not in done.stderr
