import pickle
import subprocess
import sys

import pytest
import torch

from registry_gate.formats import ReaderLimits, describe_file
from registry_gate.report.pickle_tree import render
from registry_gate.testing import hostile_pickles


def tree(path, content):
    path.write_bytes(content)
    return render(describe_file(path, path.name, ReaderLimits()), [])


def test_the_tree_shows_imports_calls_and_states(tmp_path):
    text = tree(tmp_path / "model.pkl", hostile_pickles.build_state("os", "system", "true"))
    assert "imports" in text and "os\n" in text and "system at byte" in text
    assert "os.system.__new__()" in text and "__setstate__({'a': 'true'})" in text
    assert "read to its end" in text


def test_pickles_in_pickles_hang_below_their_holder(tmp_path):
    inner = pickle.dumps({"b": hostile_pickles.global_reduce("os", "system", "true")}, 4)
    lines = tree(tmp_path / "model.pkl", pickle.dumps({"a": inner}, 4)).splitlines()
    depths = [line.index("pickle") for line in lines if "instructions" in line]
    assert len(depths) == 3 and depths == sorted(set(depths))


def test_hostile_text_is_escaped_and_short(tmp_path):
    text = tree(
        tmp_path / "model.pkl", hostile_pickles.stack_global_reduce("\x1b[2J" * 20, "\u202egnp", "x\n" * 900)
    )
    assert "\x1b" not in text and "\u202e" not in text
    assert all(len(line) < 320 for line in text.splitlines())
    many = b"".join(b"cm%d\nn\n0" % number for number in range(1500))
    assert len(tree(tmp_path / "many.pkl", b"\x80\x02" + many + b"N.").splitlines()) < 1000


@pytest.mark.parametrize(("hostile", "status"), [(True, 2), (False, 0)])
def test_the_command(tmp_path, hostile, status):
    path = tmp_path / "model.pt"
    if hostile:
        path.write_bytes(hostile_pickles.pickle_that_would_run("true"))
    else:
        torch.save({"w": torch.ones(2)}, path)
    run = subprocess.run(
        [sys.executable, "-m", "registry_gate", "scan", "--explain-pickle", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert run.returncode == status, run.stderr + run.stdout
    assert ("os.system" if hostile else "_rebuild_tensor_v2") in run.stdout


def test_the_command_wants_a_file(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "registry_gate", "scan", "--explain-pickle", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert run.returncode == 1 and "not-a-file" in run.stderr
