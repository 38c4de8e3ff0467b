"""Readers: each describes one kind of file as facts and judges nothing; any bytes give facts."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path

from registry_gate.evidence import FileFacts, FileFormat, Problem
from registry_gate.formats.archive_file import read_archive
from registry_gate.formats.config_files import read_json
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.numpy_file import read_numpy
from registry_gate.formats.pickle_file import read_pickles
from registry_gate.formats.pickle_program import interpret
from registry_gate.formats.pickle_scanner import scan
from registry_gate.formats.polyglot import second_reading
from registry_gate.formats.recognised import (
    BY_FORMAT,
    beside_openvino,
    is_joblib,
    is_msgpack_map,
    is_openvino,
    keras_code_in,
    note,
    protobuf_kind,
)
from registry_gate.formats.safetensors_file import read_safetensors
from registry_gate.formats.sniff import HEAD, PICKLE_SUFFIXES, Glance, contradicts, sniff
from registry_gate.formats.text_files import (
    is_document,
    is_text,
    protobuf_fields,
    protobuf_format,
    read_text,
)
from registry_gate.formats.torch_file import read_zip
from registry_gate.formats.torch_legacy import read_legacy
from registry_gate.formats.unpacking import packing_of, unpack

__all__ = ["ReaderLimits", "describe", "describe_file"]

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
    problems = [*_beside_the_format(path, glance, facts, limits), *facts.problems]
    scanner = scan(path, relative, facts.format, limits)
    return facts.model_copy(update={"problems": tuple(problems), "scanner": scanner})


def _beside_the_format(path: Path, glance: Glance, facts: FileFacts, limits: ReaderLimits) -> list[Problem]:
    """What is out of order whatever the reader says: the name, a second reading, the kind of pickle."""
    problems = []
    if contradicts(glance.path, facts.format):
        detail = f"the name promises {glance.suffix}, the bytes are {facts.format.value}"
        problems.append(Problem(code="extension-mismatch", detail=detail))
    double = second_reading(path, glance, facts.format, limits)
    if double:
        problems.append(Problem(code="file-polyglot", detail=double))
    if facts.format is FileFormat.PICKLE and is_joblib(facts.pickles):
        problems.append(note("joblib"))
    return problems


def _dispatch(path: Path, glance: Glance, limits: ReaderLimits) -> FileFacts:
    format_ = sniff(glance) or _whole(path, glance, limits)
    relative = glance.path
    readers: dict[FileFormat, Callable[[], FileFacts]] = {
        FileFormat.ZIP: lambda: read_zip(path, relative, limits),
        FileFormat.SAFETENSORS: lambda: read_safetensors(path, relative, limits),
        FileFormat.PICKLE: lambda: read_pickles(path, relative, format_, limits),
        FileFormat.TORCH_LEGACY: lambda: read_legacy(path, relative, limits),
        FileFormat.ARCHIVE: lambda: read_archive(path, relative, limits),
        FileFormat.NUMPY: lambda: read_numpy(path, relative, limits),
        FileFormat.JSON: lambda: read_json(path, glance, limits),
        FileFormat.TEXT: lambda: read_text(path, glance, limits),
        FileFormat.UNKNOWN: lambda: _unknown(path, glance),
    }
    if format_ in readers:
        return readers[format_]()
    if format_ in BY_FORMAT:
        return _foreign(path, glance, format_)
    return FileFacts(path=relative, format=format_, reader="magic", understood=True)


def _foreign(path: Path, glance: Glance, format_: FileFormat) -> FileFacts:
    """A format of another framework: what it is, and the code that it would bring along."""
    kind = BY_FORMAT[format_]
    if kind == "protobuf":
        kind = protobuf_kind(protobuf_fields(path) or frozenset(), glance.name)
    problems = [note(kind)]
    code = keras_code_in(path) if format_ is FileFormat.HDF5 else None
    if code:
        problems.append(Problem(code="custom-code", detail=code))
    return _named(glance, format_, *problems)


def _whole(path: Path, glance: Glance, limits: ReaderLimits) -> FileFormat:
    """Name a file that no magic bytes mark, by reading it."""
    marked = protobuf_format(path, glance) or (FileFormat.UNKNOWN if is_openvino(glance.head) else None)
    if marked is not None:
        return marked
    text = is_text(path)
    if not text and _unpacks(path, glance):
        return FileFormat.ARCHIVE
    if _runs_as_pickle(path, glance, text, limits):
        return FileFormat.PICKLE
    if glance.suffix in (".json", ".ipynb") and text:
        return FileFormat.JSON
    if text or (is_document(glance) and is_text(path, "latin-1")):
        return FileFormat.TEXT
    return FileFormat.UNKNOWN


def _unpacks(path: Path, glance: Glance) -> bool:
    """Weak marks of compression count only where something comes out."""
    packing = packing_of(glance.head)
    if packing not in ("zlib", "lzma"):
        return False
    with path.open("rb") as file:
        return len(unpack(file, packing, HEAD).data) > 0


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


def _unknown(place: Path, glance: Glance) -> FileFacts:
    """Unknown bytes: other frameworks' weights by their usual names, anything else not understood."""
    path = glance.path.lower()
    openvino = glance.name.startswith("openvino_") or "openvino/" in path
    other = (
        path.endswith(_OTHER_SUFFIXES)
        or any(path.startswith(folder) or f"/{folder}" in path for folder in _OTHER_FOLDERS)
        or ".ckpt.data-" in glance.name
        or ".data-0000" in glance.name
    )
    if is_msgpack_map(glance.head):
        kind = "msgpack"
    elif openvino or is_openvino(glance.head) or beside_openvino(place):
        kind = "openvino"
    elif "com.apple.coreml/" in path:
        kind = "coreml"
    elif other:
        kind = "by-name"
    else:
        detail = f"unknown bytes, beginning {glance.head[:8].hex()}"
        return _named(glance, FileFormat.UNKNOWN, Problem(code="not-understood", detail=detail))
    return _named(glance, FileFormat.UNKNOWN, note(kind))


def _named(glance: Glance, format_: FileFormat, *problems: Problem) -> FileFacts:
    return FileFacts(path=glance.path, format=format_, reader="magic", understood=False, problems=problems)
