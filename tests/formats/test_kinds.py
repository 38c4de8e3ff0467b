"""Every kind of file that the gate recognises and does not convert, made by the library whose format it is.

The files and the script that made them lie in ``kinds/``; TorchScript, npz and the archives are made here.
Each is described twice: under its usual name and under a torch name, because content decides.
"""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from registry_gate.finding import Severity

KINDS = Path(__file__).parent / "kinds"
WORDS = {
    "model.h5": "an HDF5 file (Keras .h5)",
    "model.keras": "a Keras archive (.keras)",
    "saved_model.pb": "a TensorFlow SavedModel graph",
    "model.tflite": "a TFLite model",
    "model.onnx": "an ONNX model",
    "model.gguf": "a GGUF model",
    "model.joblib": "a joblib file (scikit-learn)",
    "compressed.joblib": "a joblib file (scikit-learn)",
    "model.mlmodel": "a CoreML model",
    "mlprogram.mlmodel": "a CoreML model",
    "graph.xml": "an OpenVINO model",
    "graph.bin": "an OpenVINO model",
    "flax_model.msgpack": "a msgpack file (Flax)",
}


def test_every_file_here_has_its_words():
    there = {path.name for path in KINDS.iterdir() if path.suffix != ".py" and path.is_file()}
    assert there == set(WORDS) | {"lambda.h5", "lambda.keras"}


@pytest.mark.parametrize("name", WORDS)
def test_by_its_own_name(name, read, judge):
    found = judge(read(KINDS / name))
    (own,) = [item for item in found if WORDS[name] in item.message]
    assert "; " in own.message, "it says what to do instead"
    assert max(item.severity.rank for item in found) >= Severity.MEDIUM.rank


@pytest.mark.parametrize("name", sorted(set(WORDS) - {"graph.bin"}))
def test_content_decides_under_a_torch_name(name, read, judge, tmp_path):
    shutil.copy(KINDS / name, tmp_path / "pytorch_model.bin")
    found = judge(read(tmp_path / "pytorch_model.bin"))
    assert any(WORDS[name] in item.message for item in found), [item.message for item in found]
    assert max(item.severity.rank for item in found) >= Severity.MEDIUM.rank


def test_numbers_without_their_graph_are_unknown(read, judge, tmp_path):
    shutil.copy(KINDS / "graph.bin", tmp_path / "graph.bin")
    (found,) = judge(read(tmp_path / "graph.bin"))
    assert found.rule == "not-understood"
    (tmp_path / "graph.xml").symlink_to(KINDS / "graph.xml")
    (found,) = judge(read(tmp_path / "graph.bin"))
    assert found.rule == "not-understood", "a link is no graph of this candidate"


@pytest.mark.parametrize("name", ["lambda.h5", "lambda.keras"])
def test_code_in_a_keras_file_is_said(name, read, judge):
    assert "custom-code" in {item.rule for item in judge(read(KINDS / name))}


def torchscript(path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))


def nemo(path: Path) -> None:
    """As NeMo's ``save_to`` packs it: a tar of the configuration and a torch checkpoint."""
    weights = io.BytesIO()
    torch.save({"w": torch.ones(2)}, weights)
    with tarfile.open(path, "w") as archive:
        for name, data in (("model_config.yaml", b"a: 1\n"), ("model_weights.ckpt", weights.getvalue())):
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, w=np.ones(3))


def unknown(path: Path) -> None:
    path.write_bytes(bytes([3, 247, 255, 0]) * 40)


def packed(path: Path) -> None:
    path.write_bytes(gzip.compress(b"hello"))


MADE = {
    "TorchScript archive": torchscript,
    "NeMo archive": nemo,
    "a NumPy archive": npz,
    "unknown bytes": unknown,
    "a compressed file": packed,
}


@pytest.mark.parametrize("word", MADE)
@pytest.mark.parametrize("name", ["usual.data", "pytorch_model.bin"])
def test_what_is_made_here(word, name, read, judge, tmp_path):
    MADE[word](tmp_path / name)
    found = judge(read(tmp_path / name))
    assert any(word in item.message for item in found), [item.message for item in found]


def test_nobody_says_the_same_of_two_kinds():
    from registry_gate.formats.recognised import _WORDS

    said = [what for _, what, _ in _WORDS.values()]
    assert len(set(said)) == len(said)
    assert all(instead for _, _, instead in _WORDS.values())
