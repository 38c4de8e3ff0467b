"""Readers: each describes one kind of file as facts and judges nothing; any bytes give facts."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path

from registry_gate.evidence import FileFacts, FileFormat, Problem
from registry_gate.formats.config_files import read_json
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.pickle_file import read_pickles
from registry_gate.formats.pickle_program import interpret
from registry_gate.formats.pickle_scanner import scan
from registry_gate.formats.safetensors_file import read_safetensors
from registry_gate.formats.sniff import HEAD, PICKLE_SUFFIXES, Glance, contradicts, sniff
from registry_gate.formats.text_files import is_document, is_text, protobuf_format, read_text
from registry_gate.formats.torch_file import read_zip

__all__ = ["ReaderLimits", "describe", "describe_file"]

_KIND: dict[FileFormat, tuple[str, str]] = {
    FileFormat.HDF5: ("other-weights-left-behind", "an HDF5 file (Keras weights)"),
    FileFormat.ONNX: ("other-weights-left-behind", "an ONNX model"),
    FileFormat.GGUF: ("other-weights-left-behind", "a GGUF model"),
    FileFormat.NUMPY: ("other-weights-left-behind", "a NumPy array"),
    FileFormat.TFLITE: ("other-weights-left-behind", "a TFLite model"),
    FileFormat.NATIVE_PROTOBUF: ("other-weights-left-behind", "a protobuf model (TensorFlow, CoreML)"),
    FileFormat.ARCHIVE: ("format-not-allowed", "an archive, whose contents nobody looks at"),
    FileFormat.EXECUTABLE: ("executable-file", "machine code or compiled Python"),
}
_OTHER_SUFFIXES = (
    ".msgpack",
    ".onnx_data",
    ".ot",
    ".mlmodel",
    ".tflite",
    ".index",
    ".ckpt",
    ".weights",
    ".espresso",
)
_OTHER_FOLDERS = ("onnx/", "openvino/", "coreml/", "tf/", "saved_model/", "variables/", "flax/")


def describe(path: Path, relative: str, limits: ReaderLimits) -> FileFacts:
    """Describe one file; whatever it holds, the answer is facts.

    Args:
        path: the file, a regular one.
        relative: its path inside the candidate, ``/`` between components.
        limits: bounds of the readers.
    """
    try:
        return describe_file(path, relative, limits)
    except Exception as error:  # the boundary: a reader's own mistake is a refusal, not a crash
        detail = f"the reader failed: {type(error).__name__}"
        return FileFacts(
            path=relative,
            format=FileFormat.UNKNOWN,
            reader="none",
            understood=False,
            problems=(Problem(code="reader-failed", detail=detail),),
        )


def describe_file(path: Path, relative: str, limits: ReaderLimits) -> FileFacts:
    """As :func:`describe`, without the boundary: a mistake in a reader shows itself (for tests and fuzzing).

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        glance = Glance(file.read(HEAD), path.stat().st_size, relative)
    facts = _dispatch(path, glance, limits)
    problems = list(facts.problems)
    if contradicts(relative, facts.format):
        detail = f"the name promises {glance.suffix}, the bytes are {facts.format.value}"
        problems.insert(0, Problem(code="extension-mismatch", detail=detail))
    scanner = scan(path, relative, facts.format, limits)
    return facts.model_copy(update={"problems": tuple(problems), "scanner": scanner})


def _dispatch(path: Path, glance: Glance, limits: ReaderLimits) -> FileFacts:
    format_ = sniff(glance) or _whole(path, glance, limits)
    relative = glance.path
    readers: dict[FileFormat, Callable[[], FileFacts]] = {
        FileFormat.ZIP: lambda: read_zip(path, relative, limits),
        FileFormat.SAFETENSORS: lambda: read_safetensors(path, relative, limits),
        FileFormat.PICKLE: lambda: read_pickles(path, relative, format_, limits),
        FileFormat.TORCH_LEGACY: lambda: read_pickles(path, relative, format_, limits),
        FileFormat.JSON: lambda: read_json(path, glance, limits),
        FileFormat.TEXT: lambda: read_text(path, glance, limits),
        FileFormat.UNKNOWN: lambda: _unknown(glance),
    }
    if format_ in readers:
        return readers[format_]()
    if format_ in _KIND:
        code, kind = _KIND[format_]
        return _named(glance, format_, Problem(code=code, detail=kind))
    return FileFacts(path=relative, format=format_, reader="magic", understood=True)


def _whole(path: Path, glance: Glance, limits: ReaderLimits) -> FileFormat:
    """Name a file that no magic bytes mark, by reading it."""
    protobuf = protobuf_format(path, glance, limits)
    if protobuf is not None:
        return protobuf
    text = is_text(path)
    if _runs_as_pickle(path, glance, text, limits):
        return FileFormat.PICKLE
    if glance.suffix in (".json", ".ipynb") and text:
        return FileFormat.JSON
    if text or (is_document(glance) and is_text(path, "latin-1")):
        return FileFormat.TEXT
    return FileFormat.UNKNOWN


def _runs_as_pickle(path: Path, glance: Glance, text: bool, limits: ReaderLimits) -> bool:
    """Early protocols have no mark: a file is a pickle when, read as one, it does something.

    A pickle by name is one in any case; binary data needs an import, a text a call, because a word on a line
    of its own reads as an import.
    """
    if glance.suffix in PICKLE_SUFFIXES and not text:
        return True
    size = min(path.stat().st_size, limits.max_pickle_bytes)
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
        program = interpret(data, limits)
    if text:
        return program.calls > 0
    return program.calls > 0 or program.imports > 0 or (program.complete and program.pickles[0].opcodes > 2)


def _unknown(glance: Glance) -> FileFacts:
    """Unknown bytes: other frameworks' weights by their usual names, anything else not understood."""
    path = glance.path.lower()
    other = (
        path.endswith(_OTHER_SUFFIXES)
        or any(path.startswith(folder) or f"/{folder}" in path for folder in _OTHER_FOLDERS)
        or glance.name.startswith("openvino_")
        or ".ckpt.data-" in glance.name
        or ".data-0000" in glance.name
    )
    if other:
        detail = "weights of another framework, by their name"
        return _named(glance, FileFormat.UNKNOWN, Problem(code="other-weights-left-behind", detail=detail))
    detail = f"unknown bytes, beginning {glance.head[:8].hex()}"
    return _named(glance, FileFormat.UNKNOWN, Problem(code="not-understood", detail=detail))


def _named(glance: Glance, format_: FileFormat, problem: Problem) -> FileFacts:
    return FileFacts(path=glance.path, format=format_, reader="magic", understood=False, problems=(problem,))
