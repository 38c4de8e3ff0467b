"""Our reader against the library's: what we accept, it accepts and reads alike."""

import json
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.torch import load_file, save_file

from registry_gate.evidence import FileFormat
from registry_gate.formats import ReaderLimits, describe_file
from registry_gate.formats.dtypes import BITS
from registry_gate.formats.safetensors_file import read_safetensors
from registry_gate.testing.hostile import safetensors_bytes

LIMITS = ReaderLimits()
BAD = "safetensors-"


def test_tensors_equal_the_library(tmp_path, read, judge):
    path = tmp_path / "model.safetensors"
    state = {
        "a": torch.arange(6.0).reshape(2, 3),
        "b": torch.ones(3, dtype=torch.bfloat16),
        "c": torch.tensor(5),
        "d": torch.zeros(0, 4),
        "e": torch.ones(4, dtype=torch.uint8),
        "f": torch.ones(2, dtype=torch.float8_e4m3fn),
        "g": torch.ones(2, dtype=torch.complex64),
    }
    save_file(state, path, metadata={"format": "pt", "note": "ünïcode\n"})
    facts = read(path)
    assert facts.understood and facts.problems == () and judge(facts) == []
    assert facts.metadata == {"format": "pt", "note": "ünïcode\n"}
    data, loaded = path.read_bytes(), load_file(path)
    assert {source.name for source in facts.tensors} == set(loaded)
    for source in facts.tensors:
        expected = loaded[source.name].reshape(-1).view(torch.uint8).numpy().tobytes()
        assert data[source.offset : source.offset + source.nbytes] == expected
        assert source.shape == tuple(loaded[source.name].shape) and source.stride is None


@pytest.mark.parametrize("dtype", sorted(BITS))
def test_the_library_knows_every_type_with_our_width(dtype, tmp_path):
    count = 8
    size = count * BITS[dtype] // 8
    header = {"a": {"dtype": dtype, "shape": [count], "data_offsets": [0, size]}}
    content = safetensors_bytes(header, bytes(size))
    assert dict(deserialize(content))["a"]["dtype"] == dtype
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert read_safetensors(path, path.name, LIMITS).understood


def _library_accepts(path):
    try:
        with safe_open(str(path), framework="pt") as file:
            return set(file.keys())
    except SafetensorError:
        return None


ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "U8", "BOOL", "X"]),
        "shape": st.lists(st.integers(-1, 4), max_size=2),
        "data_offsets": st.lists(st.integers(-1, 24), min_size=1, max_size=3),
    }
)


@settings(max_examples=250, deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), ENTRY, max_size=3), st.integers(0, 24), st.booleans())
def test_accepts_only_what_the_library_accepts(tmp_path_factory, table, size, chained):
    if chained:  # lay the tensors one behind the other, so that sound files occur too
        at = 0
        for entry in table.values():
            width = {"F32": 4, "U8": 1, "BOOL": 1, "X": 1}[entry["dtype"]]
            count = width
            for extent in entry["shape"]:
                count *= extent
            entry["data_offsets"] = [at, at + count]
            at += count
        size = max(at, 0)
    path = tmp_path_factory.mktemp("st") / "model.safetensors"
    path.write_bytes(safetensors_bytes(table, bytes(size)))
    facts = read_safetensors(path, path.name, LIMITS)
    library = _library_accepts(path)
    if facts.understood:
        assert library == {source.name for source in facts.tensors} == set(table)
    elif library is not None:
        # stricter than the library on purpose; nothing of the kind may happen to a file it would write
        assert facts.problems


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_headers_never_raise_nor_pass_the_library_by(tmp_path_factory, data):
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    content = bytearray(safetensors_bytes(header, bytes(8)))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, 8 + len(header) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("st") / "model.safetensors"
    path.write_bytes(bytes(content))
    facts = describe_file(path, path.name, LIMITS)
    if facts.format is FileFormat.SAFETENSORS and facts.understood and not facts.problems:
        assert _library_accepts(path) == {source.name for source in facts.tensors}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_never_raise(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("st") / "model.safetensors"
    path.write_bytes(content)
    facts = describe_file(path, path.name, LIMITS)
    assert not facts.tensors or facts.understood or facts.problems


def test_padding_is_spaces_at_the_end_only(tmp_path, read):
    header = b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors_bytes(header + b"   ", bytes(4)))
    assert read(path).understood
    for bad in (header + b"\n\n", header + b"\x00", b" " + header):
        path.write_bytes(safetensors_bytes(bad, bytes(4)))
        facts = read(path)
        assert not facts.understood and facts.problems


def test_header_limit(tmp_path, read):
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors_bytes({}, b""))
    assert "safetensors-header" in {item.code for item in read(path, max_header_bytes=1).problems}


def test_no_tensor_is_said(tmp_path, read, judge):
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors_bytes({"__metadata__": {"a": "b"}}, b""))
    assert {item.rule for item in judge(read(path))} == {"no-tensors"}


def test_the_header_alone_is_read(tmp_path, read):
    path = tmp_path / "model.safetensors"
    size = 1 << 34  # a sparse file of 16 GiB
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size)
    facts = read(path)
    assert facts.understood and facts.tensors[0].nbytes == size


@pytest.mark.parametrize("name", ["\ud800", "a\x00b", "x" * 600, "", "line\nline"])
def test_odd_names_are_problems_and_stay_out_of_the_facts(name, tmp_path, read):
    path = tmp_path / "model.safetensors"
    path.write_bytes(
        safetensors_bytes({name: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}, bytes(4))
    )
    facts = read(path)
    assert "tensor-name" in {item.code for item in facts.problems} and facts.tensors == ()
    assert not facts.understood
