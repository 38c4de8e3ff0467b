"""Read documents, vocabularies, images and protobuf files: enough to say that they are what they seem."""

from __future__ import annotations

import codecs
import mmap
import re
from collections.abc import Iterator
from pathlib import Path

from registry_gate.evidence import FileFacts, FileFormat, Problem
from registry_gate.formats.instantiation import yaml_hazard
from registry_gate.formats.limits import MIB, ReaderLimits
from registry_gate.formats.recognised import protobuf_kind
from registry_gate.formats.shown import shown
from registry_gate.formats.sniff import Glance
from registry_gate.formats.templates import template_hazard

_CHUNK = MIB
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_DOCUMENTS = ("readme", "license", "licence", "notice", "copying", "use_policy", "changelog")
_SCRIPTS = (".sh", ".bash", ".zsh", ".bat", ".cmd", ".ps1", ".vbs")
_ELSEWHERE = re.compile(
    r"^\s*(?:-i\b|--index-url|--extra-index-url|-f\b|--find-links|--trusted-host)[^\n]*"
    r"|\b(?:git|hg|svn|bzr)\+[^\s]*|\bhttps?://[^\s]*",
    re.MULTILINE,
)
_MAX_YAML = 4 * MIB
_MAX_VARINT = 10
_MAX_FIELDS = 4_000_000


def is_text(path: Path, encoding: str = "utf-8") -> bool:
    """True when a whole file decodes and holds no control character that no text has."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in _chunks(path):
            if _CONTROL.search(decoder.decode(chunk)):
                return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def text_format(glance: Glance) -> FileFormat:
    """What kind of text a file is, by its name: text has no other mark."""
    if glance.suffix in (".py", ".pyw", ".pyi"):
        return FileFormat.PYTHON
    is_yaml = glance.suffix in (".yaml", ".yml") or glance.name.casefold() == "mlmodel"
    return FileFormat.YAML if is_yaml else FileFormat.TEXT


def is_document(glance: Glance) -> bool:
    """True for files that people read and programs do not; these may be in an older encoding."""
    return glance.suffix in (".md", ".rst") or glance.name.startswith(_DOCUMENTS)


def read_text(path: Path, glance: Glance, limits: ReaderLimits) -> FileFacts:
    """Describe a text file; templates and YAML are searched for constructs that reach into Python."""
    format_ = text_format(glance)
    problems = []
    if format_ is FileFormat.PYTHON:
        problems.append(
            Problem(code="custom-code", detail="a Python file, which libraries import when asked to")
        )
    elif glance.suffix in _SCRIPTS or glance.head.startswith(b"#!"):
        problems.append(Problem(code="custom-code", detail="a script, which no model needs"))
    elif glance.suffix in (".jinja", ".j2", ".jinja2") or format_ is FileFormat.YAML:
        problems += _searched(path, glance, limits)
    elif glance.suffix == ".txt" and "requirements" in glance.name.casefold():
        problems += _requirements(path)
    return FileFacts(
        path=glance.path, format=format_, reader="text", understood=True, problems=tuple(problems)
    )


def _requirements(path: Path) -> list[Problem]:
    """What an installer would take from elsewhere than its own index."""
    with path.open("rb") as file:
        found = _ELSEWHERE.search(file.read(_CHUNK).decode("utf-8", "replace"))
    if found is None:
        return []
    said = f"would install from elsewhere: {found.group(0).strip()[:100]!r}"
    return [Problem(code="external-reference", detail=shown(said))]


def _searched(path: Path, glance: Glance, limits: ReaderLimits) -> list[Problem]:
    is_yaml = text_format(glance) is FileFormat.YAML
    if glance.size > min(limits.max_config_bytes, _MAX_YAML if is_yaml else limits.max_config_bytes):
        return [Problem(code="document-too-large", detail=f"{glance.size} bytes")]
    text = path.read_text(encoding="utf-8")
    if is_yaml:
        asked = yaml_hazard(text)
        return [Problem(code="custom-code", detail=shown(asked))] if asked else []
    hazard = template_hazard(text)
    return [Problem(code="unsafe-template", detail=hazard)] if hazard else []


def protobuf_fields(path: Path) -> frozenset[tuple[int, int]] | None:
    """The (field number, wire type) pairs at a protobuf document's top level; None if it is none.

    Values are stepped over, not read, so a document may be of any size.

    Source: the protocol buffers encoding; groups are refused, and a field must end inside the file.
    """
    size = path.stat().st_size
    if not size:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
        return _fields(data, size)


def _fields(data: mmap.mmap, size: int) -> frozenset[tuple[int, int]] | None:
    seen: set[tuple[int, int]] = set()
    at = 0
    for _ in range(_MAX_FIELDS):
        if at == size:
            return frozenset(seen) or None
        key, at = _varint(data, at)
        field, wire = key >> 3, key & 7
        if key < 0 or not field or wire not in (0, 1, 2, 5):
            return None
        seen.add((field, wire))
        at = _skip(data, at, wire)
        if at < 0 or at > size:
            return None
    return None


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """A base-128 number and the offset after it; (-1, at) where there is none."""
    value = 0
    for step, byte in enumerate(data[at : at + _MAX_VARINT]):
        value |= (byte & 0x7F) << (7 * step)
        if byte < 0x80:
            return value, at + step + 1
    return -1, at


def _skip(data: mmap.mmap, at: int, wire: int) -> int:
    """The offset after a field's value, negative where it cannot be told."""
    if wire == 2:
        length, after = _varint(data, at)
        return after + length if length >= 0 else -1
    if wire == 0:
        number, after = _varint(data, at)
        return after if number >= 0 else -1
    return at + (8 if wire == 1 else 4)


def protobuf_format(path: Path, glance: Glance) -> FileFormat | None:
    """Tell sentencepiece models, ONNX and other protobuf documents apart; None for anything else."""
    fields = protobuf_fields(path) if glance.head[:1] in (b"\x08", b"\x0a") else None
    if fields is None:
        return FileFormat.ONNX if glance.suffix == ".onnx" and glance.head[:1] == b"\x08" else None
    if (
        (1, 2) in fields
        and fields <= {(1, 2), (2, 2), (3, 2), (4, 2), (5, 2)}
        and glance.head[2:3] == b"\x0a"
    ):
        return FileFormat.SENTENCEPIECE
    kind = protobuf_kind(fields, glance.name)
    if glance.suffix == ".onnx" or kind == "onnx":
        return FileFormat.ONNX
    named = glance.suffix in (".pb", ".pbtxt", ".mlmodel")
    return FileFormat.NATIVE_PROTOBUF if named or kind != "protobuf" else None
