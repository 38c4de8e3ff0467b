"""Every hostile sample is refused, by the rule that names its trick, and none of them runs."""

import subprocess
import sys

import pytest

from registry_gate.finding import Severity
from registry_gate.testing import hostile_pickles
from registry_gate.testing.hostile import pickle_that_would_run, write_samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def samples(folder):
    return write_samples(folder, f"touch {folder}/marker")


def test_every_sample_is_refused_by_its_rule(folder, samples, read, judge):
    missed = []
    for sample in samples:
        findings = judge(read(folder / sample.path, sample.path.rpartition("/")[2]))
        rejects = [item for item in findings if item.severity.rank >= Severity.HIGH.rank]
        if not rejects or sample.rule not in {item.rule for item in findings}:
            missed.append((sample, [item.rule for item in findings]))
    assert not missed
    assert len(samples) > 80
    assert not (folder / "marker").exists()


def test_findings_stay_short_and_printable(folder, samples, read, judge):
    for sample in samples:
        for finding in judge(read(folder / sample.path)):
            assert len(finding.message) < 1000
            assert finding.message.isprintable(), finding.message


@pytest.mark.parametrize("route", ["global-reduce", "stack-global", "inst", "obj", "memo-drift", "frame"])
def test_the_roads_are_real(route, tmp_path):
    """The samples would really run: else refusing them proves nothing."""
    marker = tmp_path / "marker"
    stream = pickle_that_would_run(f"touch {marker}", route)
    code = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
    subprocess.run([sys.executable, "-c", code], input=stream, check=True, timeout=60)
    assert marker.exists()


@pytest.mark.parametrize("route", ["broken-after-call", "truncated-after-call", "popped-result"])
def test_broken_streams_run_before_they_break(route, tmp_path):
    marker = tmp_path / "marker"
    stream = pickle_that_would_run(f"touch {marker}", route)
    code = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
    subprocess.run(
        [sys.executable, "-c", code], input=stream, check=False, timeout=60, stderr=subprocess.DEVNULL
    )
    assert marker.exists()


def test_a_command_is_called_what_it_is(tmp_path, read, judge):
    path = tmp_path / "model.pkl"
    path.write_bytes(hostile_pickles.stack_global_reduce("os", "system", "true"))
    found = [item for item in judge(read(path)) if item.rule == "pickle-global-not-allowed"]
    assert [item.severity for item in found] == [Severity.CRITICAL]
    assert "runs commands" in found[0].message and "'os.system'" in found[0].message


def test_terminal_codes_do_not_reach_a_message(tmp_path, read, judge):
    path = tmp_path / "model.pkl"
    path.write_bytes(hostile_pickles.stack_global_reduce("\x1b[2J", "\u202egnp", "x"))
    messages = [item.message for item in judge(read(path))]
    assert messages and all(message.isprintable() for message in messages)


def test_reading_leaves_no_trace_on_logging(tmp_path, read):
    import logging

    path = tmp_path / "model.pkl"
    path.write_bytes(pickle_that_would_run("true"))
    read(path)
    assert not logging.getLogger("picklescan").filters
