"""Whatever reaches a name off the list is refused, by any road, in any wrapping, through the real readers."""

import gzip
import pickle
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_gate.checks import pickle_program
from registry_gate.finding import Severity
from registry_gate.formats import ReaderLimits, describe_file
from registry_gate.policy import load_policy
from registry_gate.testing.hostile import torch_zip
from registry_gate.testing.hostile_pickles import ROUTES, pickle_that_would_run, short_text
from tests.checks.files_evidence import evidence_of

POLICY = load_policy("default")
LIMITS = ReaderLimits()
WORD = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,12}(\.[a-zA-Z_][a-zA-Z0-9_]{0,12}){0,2}", fullmatch=True)
LISTED = sorted(
    (module, name) for module, names in POLICY.pickle_allow_list.globals.items() for name in names
)
MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
SYSTEM = pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2)


EXTRA = {
    "import-only": lambda module, name, _: b"\x80\x02c" + f"{module}\n{name}\n".encode() + b".",
    "import-popped": lambda module, name, _: b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"0N.",
    "as-a-value": lambda module, name, _: (
        b"\x80\x04}K\x01" + short_text(module) + short_text(name) + b"\x93s."
    ),
    "below-a-mark": lambda module, name, _: b"\x80\x02(c" + f"{module}\n{name}\n".encode() + b"1N.",
    "memo-only": lambda module, name, _: b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"q\x050h\x05.",
    "storage-type": lambda module, name, _: (
        b"\x80\x02(X\x07\x00\x00\x00storagec"
        + f"{module}\n{name}\n".encode()
        + b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ."
    ),
    "python-2-text": lambda module, name, _: (
        b"S'" + module.encode() + b"'\nU" + bytes([len(name)]) + name.encode() + b"\x93."
    ),
    "text-lines": lambda module, name, _: b"V" + module.encode() + b"\nV" + name.encode() + b"\n\x93.",
    "no-stop": lambda module, name, _: b"\x80\x02c" + f"{module}\n{name}\n".encode(),
}
ROADS = {**ROUTES, **EXTRA}
WRAPPINGS = {
    "model.pkl": lambda stream: stream,
    "pytorch_model.bin": torch_zip,
    "legacy.pt": lambda stream: MAGIC + SYSTEM + stream,
    "nested.pkl": lambda stream: pickle.dumps({"blob": stream}, 4),
    "packed.pkl": lambda stream: pickle.dumps([zlib.compress(stream)], 2),
    "twice.pkl": lambda stream: pickle.dumps([gzip.compress(pickle.dumps([stream.decode("latin-1")], 0))], 4),
}


def refused(path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    result = pickle_program.run(evidence_of(describe_file(path, path.name, LIMITS)), POLICY)
    return any(item.severity.rank >= Severity.HIGH.rank for item in result.findings)


@settings(max_examples=250, deadline=None)
@given(WORD, WORD, st.sampled_from(sorted(ROADS)), st.sampled_from(sorted(WRAPPINGS)))
def test_invented_names_are_refused_by_every_road(tmp_path_factory, module, name, road, wrapping):
    if (module, name) in LISTED:
        return
    stream = ROADS[road](module, name, "x")
    assert refused(tmp_path_factory.getbasetemp() / wrapping, WRAPPINGS[wrapping](stream)), stream


@pytest.mark.parametrize("road", sorted(ROADS))
@pytest.mark.parametrize("wrapping", sorted(WRAPPINGS))
def test_every_road_in_every_wrapping(tmp_path, road, wrapping):
    stream = ROADS[road]("os", "system", "true")
    assert refused(tmp_path / wrapping, WRAPPINGS[wrapping](stream))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(LISTED), st.sampled_from(["", ".x", "_", "2"]), st.sampled_from(["", "x.", "_"]))
def test_neighbours_of_listed_names_are_refused(tmp_path_factory, pair, behind, before):
    module, name = before + pair[0], pair[1] + behind
    if (module, name) in LISTED:
        return
    stream = ROUTES["stack-global"](module, name, "x")
    assert refused(tmp_path_factory.getbasetemp() / "neighbour.pkl", stream)


@pytest.mark.parametrize(
    ("wrapping", "road"),
    [("model.pkl", "import-only"), ("pytorch_model.bin", "obj"), ("twice.pkl", "global-reduce")],
)
def test_the_command_line_refuses_with_2(tmp_path, wrapping, road):
    path = tmp_path / wrapping
    path.write_bytes(WRAPPINGS[wrapping](ROADS[road]("invented_module", "invented.name", "x")))
    run = subprocess.run(
        [sys.executable, "-m", "registry_gate", "scan", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert run.returncode == 2, run.stderr
    assert "invented_module.invented.name" in run.stdout


def test_nothing_hostile_ran(tmp_path):
    marker = tmp_path / "marker"
    assert refused(tmp_path / "model.pkl", pickle_that_would_run(f"touch {marker}"))
    assert not marker.exists()
