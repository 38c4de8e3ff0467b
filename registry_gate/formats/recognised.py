"""Formats that are recognised and not converted: what each is, and what to do instead."""

from __future__ import annotations

import re
from pathlib import Path

from registry_gate.evidence import FileFormat, PickleFacts, Problem
from registry_gate.formats.limits import MIB

LEFT = "other-weights-left-behind"

_REFUSED = "format-not-allowed"
_WORDS: dict[str, tuple[str, str, str]] = {
    "torchscript": (
        _REFUSED,
        "a TorchScript archive, a program with its weights",
        "save the model's state_dict() as safetensors where the archive is trusted",
    ),
    "torchscript-ot": (LEFT, "a TorchScript archive for Rust (rust_model.ot)", "use safetensors instead"),
    "keras-h5": (
        LEFT,
        "an HDF5 file (Keras .h5), which may hold code in Lambda layers",
        "load it where it is trusted and save the weights as safetensors",
    ),
    "keras": (
        LEFT,
        "a Keras archive (.keras), which may hold code in Lambda layers",
        "load it with safe_mode where it is trusted and save the weights as safetensors",
    ),
    "saved-model": (
        LEFT,
        "a TensorFlow SavedModel graph, which is a program",
        "convert it to a transformers or torch model and save that as safetensors",
    ),
    "tflite": (LEFT, "a TFLite model, a program for an interpreter", "ask for the model it was made from"),
    "onnx": (LEFT, "an ONNX model", "save the weights of the model it was made from as safetensors"),
    "gguf": (LEFT, "a GGUF model", "use the safetensors of the model it was quantised from"),
    "coreml": (LEFT, "a CoreML model", "use the model it was converted from"),
    "openvino": (LEFT, "an OpenVINO model", "use the model it was converted from"),
    "numpy": (LEFT, "NumPy arrays", "save the weights as safetensors"),
    "msgpack": (LEFT, "a msgpack file (Flax)", "load it with from_flax in transformers, save safetensors"),
    "by-name": (LEFT, "weights of another framework, by their name", "save the model as safetensors"),
    "nemo": (
        _REFUSED,
        "a NeMo archive (tar)",
        "unpack it, save the state dict of model_weights.ckpt as safetensors and admit that",
    ),
    "torch-tar": (
        _REFUSED,
        "a torch checkpoint of before 0.2 (tar), which only unsafe unpickling reads",
        "load it where it is trusted and save it again",
    ),
    "joblib": (
        _REFUSED,
        "a joblib file (scikit-learn), whose loading runs a pickle",
        "save the estimator with skops, or its numbers as safetensors",
    ),
    "tar": (_REFUSED, "a tar archive", "upload the files themselves"),
    "packed": (_REFUSED, "a compressed file", "upload what is in it"),
    "closed": (
        _REFUSED,
        "an archive of a kind that nobody here looks into (7z, rar, zstd, lz4)",
        "upload the files themselves",
    ),
    "zip": (_REFUSED, "a zip archive", "upload the files themselves"),
    "executable": ("executable-file", "machine code or compiled Python", "remove it"),
    "protobuf": (LEFT, "a protobuf document of another framework", "save the model as safetensors"),
}
"""By kind: the problem's code, what the file is, what to do instead."""

BY_FORMAT: dict[FileFormat, str] = {
    FileFormat.HDF5: "keras-h5",
    FileFormat.ONNX: "onnx",
    FileFormat.GGUF: "gguf",
    FileFormat.TFLITE: "tflite",
    FileFormat.NATIVE_PROTOBUF: "protobuf",
    FileFormat.EXECUTABLE: "executable",
}
_LAMBDA = re.compile(rb"\"class_name\"\s{0,8}:\s{0,8}\"(?:Lambda|TFOpLambda|[\w.>]{1,60}>Lambda)\"")
_MODULE = re.compile(
    rb"\"module\"\s{0,8}:\s{0,8}\"(?!keras[.\"]|keras_|tf_keras|builtins\"|tensorflow\.)([\w.]{1,80})\""
)
_OVERLAP = 256
_GRAPH_HEAD = 1024


def note(kind: str, more: str = "") -> Problem:
    """The problem that says what a recognised file is and what to do instead."""
    code, what, instead = _WORDS[kind]
    return Problem(code=code, detail=f"{what}{more}; {instead}")


def protobuf_kind(fields: frozenset[tuple[int, int]], name: str) -> str:
    """Which framework a protobuf document belongs to, by its top-level fields, else by its file name.

    Sources: ``onnx.proto`` (ModelProto: version, graph and operator sets), ``Model.proto`` of Core ML
    (version, description, and the model itself in a field of 200 or more), ``saved_model.proto``.
    """
    if {(1, 0), (7, 2), (8, 2)} <= fields and max(fields)[0] < _CORE_ML:
        return "onnx"
    if {(1, 0), (2, 2)} <= fields and any(field >= _CORE_ML and wire == 2 for field, wire in fields):
        return "coreml"
    if fields == {(1, 0), (2, 2)} and not name.endswith(".mlmodel"):
        return "saved-model"
    if name in ("saved_model.pb", "saved_model.pbtxt", "keras_metadata.pb"):
        return "saved-model"
    return "coreml" if name.endswith(".mlmodel") else "protobuf"


_CORE_ML = 200
_OPENVINO = re.compile(rb"\A\s*(?:<\?xml[^>]{0,100}>\s*)?<net\s[^>]{0,400}\bversion=\"1[0-9]\"")


def is_openvino(head: bytes) -> bool:
    """True where a text begins as the graph of an OpenVINO model does (``<net name=... version="11">``)."""
    return _OPENVINO.match(head) is not None


def beside_openvino(path: Path) -> bool:
    """True for a ``.bin`` beside the OpenVINO graph of the same name: the numbers of that graph."""
    graph = path.with_suffix(".xml")
    if path.suffix.lower() != ".bin" or graph.is_symlink() or not graph.is_file():
        return False
    with graph.open("rb") as file:
        return is_openvino(file.read(_GRAPH_HEAD))


def keras_code(data: bytes) -> str | None:
    """Say what code a Keras configuration would run: Lambda layers, classes of unknown modules."""
    if _LAMBDA.search(data):
        return "a Lambda layer, whose Python code runs when the model is loaded"
    found = _MODULE.search(data)
    return f"a class of the module {found[1].decode('ascii')!r}" if found else None


def keras_code_in(path: Path) -> str | None:
    """:func:`keras_code` over a whole file, in pieces: HDF5 keeps the configuration as plain text."""
    before = b""
    with path.open("rb") as file:
        while chunk := file.read(MIB):
            found = keras_code(before + chunk)
            if found:
                return found
            before = chunk[-_OVERLAP:]
    return None


def is_msgpack_map(head: bytes) -> bool:
    """True where bytes begin as a msgpack map with a text key, as Flax writes its weights."""
    if not head or not (0x81 <= head[0] <= 0x8F or head[0] in (0xDE, 0xDF)):
        return False
    at = {0xDE: 3, 0xDF: 5}.get(head[0], 1)
    key = head[at : at + 1]
    return b"\xa1" <= key <= b"\xbf" or key in (b"\xd9", b"\xda")


def is_joblib(pickles: tuple[PickleFacts, ...]) -> bool:
    """True where a pickle names joblib's own wrapper of arrays."""
    return any(use.module.startswith("joblib.") for facts in pickles for use in facts.globals)
