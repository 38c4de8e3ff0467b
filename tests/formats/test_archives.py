"""Archives, compressed files, arrays and other frameworks' formats: named, looked into, within bounds."""

import ast
import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_gate.evidence import FileFormat
from registry_gate.finding import Severity
from registry_gate.formats import ReaderLimits, describe_file
from registry_gate.formats.numpy_file import BadHeader, parse_literal, read_header
from registry_gate.formats.recognised import is_msgpack_map, keras_code
from registry_gate.formats.unpacking import unpack
from registry_gate.testing.hostile import ZipEntry, safetensors_bytes, torch_zip, zip_bytes
from registry_gate.testing.hostile_containers import legacy_bytes, tar_bytes
from registry_gate.testing.hostile_pickles import pickle_that_would_run

EVIL = pickle_that_would_run("true")
PACK = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}


def saved(array, **options):
    out = io.BytesIO()
    np.save(out, array, **options)
    return out.getvalue()


@pytest.fixture
def rules(tmp_path, read, judge):
    def run(name, content, **bounds):
        path = tmp_path / "file"
        path.write_bytes(content)
        return {item.rule: item for item in judge(read(path, name, **bounds))}

    return run


@pytest.mark.parametrize("packing", PACK)
def test_pickles_in_compressed_files_are_judged(packing, rules):
    found = rules("model.joblib", PACK[packing](EVIL))
    assert {"pickle-global-not-allowed", "format-not-allowed"} <= set(found)


@pytest.mark.parametrize("packing", PACK)
def test_bombs_end_at_the_bound(packing):
    packed = PACK[packing](bytes(5_000_000))
    out = unpack(io.BytesIO(packed), packing, 100_000)
    assert out.bomb and len(out.data) <= 100_001
    whole = unpack(io.BytesIO(packed), packing, 5_000_000)
    assert not whole.fault and len(whole.data) == 5_000_000


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(PACK)), st.binary(max_size=300), st.data())
def test_broken_streams_are_faults_and_never_raise(packing, content, data):
    packed = bytearray(PACK[packing](content))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= data.draw(st.integers(1, 255))
    out = unpack(io.BytesIO(bytes(packed)), packing, 10_000)
    assert out.fault or len(out.data) <= 10_000


def test_what_joblib_writes_is_named(tmp_path, rules):
    joblib = pytest.importorskip("joblib")
    for name, options in {"raw": {}, "z": {"compress": 3}, "g": {"compress": ("gzip", 3)}}.items():
        path = tmp_path / f"{name}.joblib"
        joblib.dump({"a": np.ones(3), "b": 1}, path, **options)
        found = rules(path.name, path.read_bytes())
        assert any("joblib" in item.message for item in found.values()), (name, found)
        assert "pickle-global-not-allowed" in found


def test_pickles_are_found_however_nested(rules):
    inner = gzip.compress(tar_bytes({"a/b.pkl": EVIL}))
    assert "pickle-global-not-allowed" in rules("model.zip", zip_bytes([ZipEntry("x", inner, method=8)]))
    for _ in range(6):
        inner = gzip.compress(inner)
    assert "archive-nested" in rules("model.gz", inner)


def test_tar_kinds_have_their_own_words(rules):
    parts = {"storages": b"\x80\x02K\x00.", "tensors": b"\x80\x02K\x00.", "pickle": b"\x80\x02}."}
    assert "before 0.2" in rules("model.pt", tar_bytes(parts))["format-not-allowed"].message
    nemo = tar_bytes({"model_config.yaml": b"a: 1\n", "model_weights.ckpt": torch_zip(b"\x80\x02}.")})
    assert "NeMo" in rules("model.nemo", nemo)["format-not-allowed"].message
    assert "format-not-allowed" in rules("x.tar", tar_bytes({"a.txt": b"hello"}))


def test_tar_links_and_paths_are_findings(rules):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo("a")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("../x"))
    assert {"tar-special", "tar-malformed"} <= set(rules("x.tar", out.getvalue()))


ARRAYS = [
    np.ones((2, 3)),
    np.asfortranarray(np.ones((2, 3), dtype=np.float16)),
    np.array(5),
    np.zeros((0, 2), dtype=bool),
    np.array(["ab", "c"]),
    np.array([b"ab"]),
    np.array("2020-01-01", dtype="M8[D]"),
    np.zeros(2, dtype=[("a", "<f4", (2, 2)), ("b", "S3"), ("c", [("d", ">i8")])]),
    np.ones(2, dtype=np.complex128),
    np.zeros(1, dtype="V7"),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.dtype))
def test_plain_arrays_are_understood(array, rules):
    found = rules("a.npy", saved(array))
    assert [(rule, item.severity) for rule, item in found.items()] == [
        ("other-weights-left-behind", Severity.LOW)
    ]
    content = saved(array)
    assert read_header(io.BytesIO(content), len(content)).itemsize == array.dtype.itemsize
    assert "numpy-malformed" in rules("a.npy", content + b"x")


def test_npz_of_plain_arrays_is_understood(rules):
    out = io.BytesIO()
    np.savez_compressed(out, a=np.ones((50, 50)), b=np.arange(3))
    assert set(rules("a.npz", out.getvalue())) == {"other-weights-left-behind"}


def test_arrays_of_objects_are_judged_as_pickles(rules):
    content = saved(np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    assert "numpy-objects" in rules("a.npy", content)
    evil = content[: content.index(b"\x80\x03", 80) if b"\x80\x03" in content else 128] + EVIL
    assert "pickle-global-not-allowed" in rules("a.npy", evil)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", evil)
    assert "pickle-global-not-allowed" in rules("a.npz", out.getvalue())


LITERALS = st.recursive(
    st.one_of(st.integers(0, 10**9), st.booleans(), st.text("abc <f4|", max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text("xyz", max_size=3), inner, max_size=3),
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(LITERALS)
def test_literals_are_parsed_as_python_parses_them(value):
    try:
        assert parse_literal(repr(value)) == value
    except BadHeader as fault:
        assert "nested too deep" in str(fault)


@settings(max_examples=200, deadline=None)
@given(st.text("(){}[],:'\"ab 01TrueFalse", max_size=40))
def test_any_text_is_a_literal_or_refused(text):
    try:
        value = parse_literal(text)
    except BadHeader:
        return
    assert ast.literal_eval(text.strip()) == value


MESSAGES = {
    "model.h5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
    "model.keras": (
        zip_bytes([ZipEntry(n, b"{}") for n in ("metadata.json", "config.json", "model.weights.h5")]),
        ".keras",
    ),
    "saved_model.pb": (b"\x08\x01\x12\x04\x0a\x02\x08\x01", "SavedModel"),
    "model.tflite": (b"\x1c\x00\x00\x00TFL3" + bytes(30), "TFLite"),
    "model.onnx": (b"\x08\x07\x12\x07pytorch\x3a\x02\x08\x00", "ONNX"),
    "model.gguf": (b"GGUF\x03\x00\x00\x00" + bytes(30), "GGUF"),
    "model.mlmodel": (b"\x08\x01\x12\x04\x0a\x02\x08\x01", "CoreML"),
    "openvino_model.bin": (bytes(range(1, 200)), "OpenVINO"),
    "flax_model.msgpack": (b"\x82\xa5embed\xc4\x04" + bytes(range(200)), "msgpack"),
    "model.7z": (b"7z\xbc\xaf\x27\x1c" + bytes(30), "7z, rar"),
    "thing.dat": (bytes([3, 247, 255, 0]) * 40, "unknown bytes"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_recognised_formats_are_refused_in_their_own_words(name, rules):
    content, word = MESSAGES[name]
    found = rules(name, content)
    assert any(word in item.message for item in found.values()), found
    assert max(item.severity.rank for item in found.values()) >= Severity.MEDIUM.rank


def test_beside_weights_that_convert_other_formats_are_only_recorded(tmp_path, read, judge):
    header = {"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(header, bytes(4)))
    (tmp_path / "tf_model.h5").write_bytes(MESSAGES["model.h5"][0])
    found = judge(*(read(path) for path in sorted(tmp_path.iterdir())))
    assert [item.severity for item in found] == [Severity.LOW]


def test_code_in_keras_configurations_is_found():
    layer = {"class_name": "Dense", "module": "keras.layers", "config": {}}
    assert keras_code(json.dumps(layer).encode()) is None
    assert "Lambda" in keras_code(json.dumps({"class_name": "Lambda"}).encode())
    assert "'my.code'" in keras_code(json.dumps({"module": "my.code", "class_name": "X"}).encode())


def test_msgpack_is_told_from_pickles():
    assert is_msgpack_map(b"\x82\xa5embed") and is_msgpack_map(b"\xde\x00\x20\xa5embed")
    assert not is_msgpack_map(b"\x80\x02}.") and not is_msgpack_map(b"")


@pytest.mark.parametrize("length", [128, 384, 640, 896, 1152, 1408])
def test_header_lengths_that_look_like_a_protocol_mark(length, rules, tmp_path, read):
    header = {"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}
    content = safetensors_bytes(json.dumps(header).encode().ljust(length), bytes(4))
    assert content[0] == 0x80 and rules("model.safetensors", content) == {}


def test_two_readings_are_a_finding(rules):
    archive = torch_zip(EVIL)
    for name, start in (("a.gif", b"GIF89a" + bytes(9)), ("README.md", b"# A\n"), ("m.pt", legacy_bytes())):
        assert "file-polyglot" in rules(name, start + archive)
        assert "file-polyglot" in rules(name, start + archive[:-2] + b"\x03\x00abc")
        assert "file-polyglot" not in rules(name, start + b"PK\x05\x06" + bytes(18))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["tar", "gz", "zip", "npy", "npz"]), st.data())
def test_mutated_archives_never_raise(tmp_path_factory, kind, data):
    good = {
        "tar": tar_bytes({"a.pkl": b"\x80\x02}.", "b": b"hello"}),
        "gz": gzip.compress(tar_bytes({"a.pkl": EVIL})),
        "zip": zip_bytes([ZipEntry("a.npy", saved(ARRAYS[0]), method=8), ZipEntry("b.pkl", EVIL)]),
        "npy": saved(ARRAYS[7]),
        "npz": zip_bytes([ZipEntry("a.npy", saved(ARRAYS[0]), method=8)]),
    }[kind]
    content = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("mutated") / f"a.{kind}"
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    facts = describe_file(path, path.name, ReaderLimits())
    assert facts.understood or facts.problems
    assert facts.format is not FileFormat.EMPTY
