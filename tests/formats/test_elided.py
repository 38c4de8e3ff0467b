"""picklescan given a pickle without its long literals: the same answer, in a little memory."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest
from picklescan.scanner import scan_bytes

from registry_gate.evidence import FileFormat
from registry_gate.formats.elided import Elided, TooMany
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.pickle_file import read_pickles
from registry_gate.formats.pickle_scanner import scan

LONG = bytes(3 << 20)


class Call:
    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def __reduce__(self):
        return os.system, ("true",)


STREAMS = {
    "call behind an array": [LONG, Call()],
    "call before an array": [Call(), LONG],
    "text": ["x" * (3 << 20), Call()],
    "bytearray": [bytearray(LONG), {"a": Call()}],
    "long integer": [1 << (9 << 20), Call()],
    "nothing": [LONG, "os", "system"],
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_same_globals_are_seen(tmp_path, name, protocol):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(STREAMS[name], protocol))
    with path.open("rb") as whole, path.open("rb") as file:
        theirs = scan_bytes(whole, "a", ".pkl")
        ours = scan_bytes(Elided(file, path.stat().st_size, 1000), "a", ".pkl")
    assert {(item.module, item.name, item.safety) for item in theirs.globals} == {
        (item.module, item.name, item.safety) for item in ours.globals
    }
    assert (theirs.issues_count, theirs.scan_err) == (ours.issues_count, ours.scan_err)
    assert bool(ours.issues_count) == (name != "nothing")


def test_a_literal_that_is_not_there_in_full_is_an_error(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x04cos\nsystem\nB" + (5 << 20).to_bytes(4, "little") + LONG)
    found = scan(path, "a.pkl", FileFormat.PICKLE, ReaderLimits())
    assert found is not None and found.status == "error" and found.dangerous == ("os.system",)


def test_too_many_instructions_are_an_error(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"N0" * 5000 + b"N.")
    with path.open("rb") as file, pytest.raises(TooMany):
        scan_bytes(Elided(file, 10_002, 5000), "a", ".pkl")
    found = scan(path, "a.pkl", FileFormat.PICKLE, ReaderLimits(max_pickle_opcodes=1000))
    assert found is not None and found.status == "error"


def test_a_line_without_end_is_no_line(tmp_path):
    path = tmp_path / "a.pkl"
    with path.open("wb") as file:
        file.write(b"V")
        for _ in range(20):
            file.write(b"a" * (1 << 20))
        file.write(b"\n.")
    found = scan(path, "a.pkl", FileFormat.PICKLE, ReaderLimits())
    assert found is not None and found.status == "error"


@pytest.mark.slow
def test_a_raw_pickle_of_arrays_is_described_in_bounded_memory(tmp_path):
    """100 MB in a process of its own: reader and picklescan together stay far below the file's size."""
    import numpy as np

    path = tmp_path / "a.pkl"
    with path.open("wb") as file:
        pickle.dump([np.full(6_400, n) for n in range(2_000)], file)
    code = (
        "import resource, sys; from pathlib import Path; import picklescan.scanner\n"
        "from registry_gate.formats import ReaderLimits, describe\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"before = peak(); facts = describe(Path({str(path)!r}), 'a.pkl', ReaderLimits())\n"
        "assert facts.pickles[0].complete and facts.scanner.status == 'complete', facts\n"
        "print((peak() - before) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert path.stat().st_size > 100_000_000
    assert int(done.stdout) < 48, "MiB"


def test_the_reader_and_the_scanner_agree_on_an_ordinary_file(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"w": LONG, "n": [1, 2.5, "x", None]}))
    facts = read_pickles(path, "a.pkl", FileFormat.PICKLE, ReaderLimits())
    found = scan(path, "a.pkl", FileFormat.PICKLE, ReaderLimits())
    assert facts.pickles[0].complete and found is not None and found.status == "complete"
