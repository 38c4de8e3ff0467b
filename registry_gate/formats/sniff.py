"""What a file's bytes are, by content; its name only tells apart what content cannot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from registry_gate.evidence import FileFormat
from registry_gate.formats.tar_layout import is_tar

HEAD = 4096
"""Bytes from the start of a file that ``sniff`` wants."""

_MAGIC: tuple[tuple[bytes, FileFormat], ...] = (
    (b"PK\x03\x04", FileFormat.ZIP),
    (b"PK\x05\x06", FileFormat.ZIP),
    (b"\x89HDF\r\n\x1a\n", FileFormat.HDF5),
    (b"GGUF", FileFormat.GGUF),
    (b"\x93NUMPY", FileFormat.NUMPY),
    (b"\x89PNG\r\n\x1a\n", FileFormat.IMAGE),
    (b"\xff\xd8\xff", FileFormat.IMAGE),
    (b"GIF87a", FileFormat.IMAGE),
    (b"GIF89a", FileFormat.IMAGE),
    (b"7z\xbc\xaf\x27\x1c", FileFormat.ARCHIVE),
    (b"Rar!\x1a\x07", FileFormat.ARCHIVE),
    (b"\x1f\x8b", FileFormat.ARCHIVE),
    (b"BZh", FileFormat.ARCHIVE),
    (b"\xfd7zXZ\x00", FileFormat.ARCHIVE),
    (b"\x28\xb5\x2f\xfd", FileFormat.ARCHIVE),
    (b"\x04\x22\x4d\x18", FileFormat.ARCHIVE),
    (b"\x7fELF", FileFormat.EXECUTABLE),
    (b"MZ", FileFormat.EXECUTABLE),
    (b"\xcf\xfa\xed\xfe", FileFormat.EXECUTABLE),
    (b"\xce\xfa\xed\xfe", FileFormat.EXECUTABLE),
    (b"\xca\xfe\xba\xbe", FileFormat.EXECUTABLE),
)
_TORCH_LEGACY = re.compile(
    rb"\x80[\x00-\x05](?:\x95.{8})?" + re.escape(bytes.fromhex("8a0a6cfc9c46f9206aa85019")) + rb"\.",
    re.DOTALL,
)
"""LONG1 of torch's magic number 0x1950a86a20f9469cfc6c, the first object of a legacy checkpoint."""


@dataclass(frozen=True)
class Glance:
    """The start of a file, its size and its relative path."""

    head: bytes
    size: int
    path: str

    @property
    def suffix(self) -> str:
        """The extension in lower case, with its dot."""
        return PurePosixPath(self.path.lower()).suffix

    @property
    def name(self) -> str:
        """The file name in lower case."""
        return PurePosixPath(self.path.lower()).name


def sniff(glance: Glance) -> FileFormat | None:
    """Name a file's format by its first bytes.

    Returns:
        A format that its magic bytes prove, or None where only reading the whole can tell (text, JSON,
        protobuf, pickles without a marker, unknown).
    """
    if glance.size == 0:
        return FileFormat.EMPTY
    for magic, format_ in _MAGIC:
        if glance.head.startswith(magic) and not _too_weak(magic, glance):
            return format_
    return _inner_magic(glance) or _marked(glance)


def _inner_magic(glance: Glance) -> FileFormat | None:
    """Formats whose magic bytes do not stand first."""
    head = glance.head
    if head[4:8] == b"TFL3":
        return FileFormat.TFLITE
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return FileFormat.IMAGE
    if head[2:4] == b"\r\n" and glance.suffix in (".pyc", ".pyo"):
        return FileFormat.EXECUTABLE
    return FileFormat.ARCHIVE if head[257:262] == b"ustar" or is_tar(head) else None


def _too_weak(magic: bytes, glance: Glance) -> bool:
    """Magics that are words too: a text may begin with them."""
    return magic in (b"MZ", b"BZh", b"GGUF") and glance.head.isascii() and b"\x00" not in glance.head


def _marked(glance: Glance) -> FileFormat | None:
    head = glance.head
    stated = int.from_bytes(head[:8], "little")
    # a header of 128, 384, 640 ... bytes begins as a pickle's protocol mark does; see polyglot.py
    if head[8:10] == b'{"' and 2 <= stated <= glance.size - 8:
        return FileFormat.SAFETENSORS
    if head[:1] == b"\x80" and head[1:2] <= b"\x05" and len(head) > 2:
        return FileFormat.TORCH_LEGACY if _TORCH_LEGACY.match(head) else FileFormat.PICKLE
    plausible = 2 <= stated <= glance.size - 8 or glance.suffix == ".safetensors"
    return FileFormat.SAFETENSORS if head[8:9] == b"{" and plausible else None


TORCH_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt"})
PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".p"})

_TORCH = frozenset(
    {FileFormat.TORCH_ZIP, FileFormat.TORCH_LEGACY, FileFormat.TORCHSCRIPT, FileFormat.UNKNOWN}
)
_EXPECTED: dict[str, frozenset[FileFormat]] = {
    ".safetensors": frozenset({FileFormat.SAFETENSORS}),
    **dict.fromkeys(TORCH_SUFFIXES, _TORCH),
    **dict.fromkeys(PICKLE_SUFFIXES, _TORCH | {FileFormat.PICKLE}),
    ".joblib": _TORCH | {FileFormat.PICKLE, FileFormat.ARCHIVE},  # joblib compresses by itself
    ".json": frozenset({FileFormat.JSON, FileFormat.TEXT}),
    ".txt": frozenset({FileFormat.TEXT}),
    ".md": frozenset({FileFormat.TEXT}),
    ".yaml": frozenset({FileFormat.YAML}),
    ".yml": frozenset({FileFormat.YAML}),
    ".py": frozenset({FileFormat.PYTHON}),
    ".h5": frozenset({FileFormat.HDF5}),
    ".onnx": frozenset({FileFormat.ONNX, FileFormat.UNKNOWN}),
    ".gguf": frozenset({FileFormat.GGUF}),
    ".npy": frozenset({FileFormat.NUMPY}),
    ".npz": frozenset({FileFormat.NUMPY}),
    ".tflite": frozenset({FileFormat.TFLITE}),
    ".model": frozenset({FileFormat.SENTENCEPIECE, FileFormat.TEXT}),
    ".msgpack": frozenset({FileFormat.UNKNOWN}),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp"), frozenset({FileFormat.IMAGE})),
}


def contradicts(path: str, format_: FileFormat) -> bool:
    """True when a file's extension promises another format than its bytes have."""
    expected = _EXPECTED.get(PurePosixPath(path.lower()).suffix)
    return expected is not None and format_ not in expected and format_ is not FileFormat.EMPTY
