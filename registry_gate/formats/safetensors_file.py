"""Read safetensors files strictly: the header is the only thing read, and it must describe every byte.

Source: the safetensors format description and ``safetensors/src/tensor.rs`` 0.8 (``Metadata::validate``);
each way a header can be out of order is a problem of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from registry_gate.evidence import FileFacts, FileFormat, Problem, TensorSource
from registry_gate.formats.dtypes import BITS, tensor_bytes
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.shown import shown
from registry_gate.formats.strict_json import BadJson, JsonValue, parse_json
from registry_gate.formats.tensor_names import name_problem

_MAX_DIMENSIONS = 64
_MAX_SIZE = 2**62
_MAX_METADATA = 1024 * 1024
_EOCD = 22


@dataclass
class _Reading:
    """Tensors and problems while a header is walked; offsets are relative to the data section."""

    limits: ReaderLimits
    data_start: int
    data_size: int
    tensors: list[TensorSource] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)

    def problem(self, code: str, detail: str, name: str | None = None) -> None:
        if len(self.problems) < self.limits.max_problems:
            self.problems.append(Problem(code=code, detail=shown(detail, 300), field=name and shown(name)))


def read_safetensors(path: Path, relative: str, limits: ReaderLimits) -> FileFacts:
    """Describe a safetensors file; only the header is read.

    Args:
        path: the file.
        relative: its path inside the candidate.
        limits: bound on the header.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        reading = _Reading(limits, 8 + length, size - 8 - length)
        if length > limits.max_header_bytes or reading.data_size < 0:
            detail = f"the header states {length} bytes in a file of {size}"
            reading.problem("safetensors-header", detail)
        else:
            _walk(reading, file.read(length))
            _tail(reading, file, size)
    good = not any(item.code.startswith(("safetensors-", "tensor-")) for item in reading.problems)
    return FileFacts(
        path=relative,
        format=FileFormat.SAFETENSORS,
        reader="safetensors",
        understood=good,
        problems=tuple(reading.problems),
        tensors=tuple(reading.tensors),
        metadata=reading.metadata,
    )


def tensor_places(header: bytes, size: int, limits: ReaderLimits) -> tuple[TensorSource, ...]:
    """Each tensor of a safetensors file and its place, from a header that must describe every byte.

    Args:
        header: the JSON alone, without the eight bytes of its length.
        size: bytes of the whole file.
        limits: bounds on the header.

    Raises:
        ValueError: with the first problem of the header.
    """
    start = 8 + len(header)
    reading = _Reading(limits, start, size - start)
    _walk(reading, header)
    if reading.problems:
        raise ValueError(f"{reading.problems[0].code}: {reading.problems[0].detail}")
    return tuple(reading.tensors)


def _walk(reading: _Reading, header: bytes) -> None:
    document = _document(reading, header)
    if document is None:
        return
    _metadata(reading, document.pop("__metadata__", None))
    if len(document) > reading.limits.max_tensors:
        reading.problem("safetensors-header", f"{len(document)} tensors, more than the reader takes")
        return
    for name, entry in document.items():
        _tensor(reading, name, entry)
    if not document:
        reading.problem("no-tensors", "the file holds no tensor")
    _cover(reading)


def _document(reading: _Reading, header: bytes) -> dict[str, JsonValue] | None:
    if not header.startswith(b"{") or not header.rstrip(b" ").endswith(b"}"):
        reading.problem("safetensors-header", "the header is no JSON object padded with spaces")
        return None
    try:
        document = parse_json(header, reading.limits, finite=True)
    except BadJson as reason:
        code = "safetensors-duplicate" if reason.reason == "duplicate-key" else "safetensors-header"
        reading.problem(code, str(reason))
        return None
    return document if isinstance(document, dict) else None


def _metadata(reading: _Reading, metadata: JsonValue) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        reading.problem("safetensors-metadata", "__metadata__ is not a table of texts")
        return
    texts = {key: str(value) for key, value in metadata.items()}
    if sum(len(key) + len(value) for key, value in texts.items()) > _MAX_METADATA:
        reading.problem("safetensors-metadata", f"__metadata__ is longer than {_MAX_METADATA} characters")
        return
    if any("\ud800" <= char <= "\udfff" for text in (*texts, *texts.values()) for char in text):
        reading.problem("safetensors-metadata", "__metadata__ holds a lone surrogate")
        return
    reading.metadata = texts


def _tensor(reading: _Reading, name: str, entry: JsonValue) -> None:
    hazard = name_problem(name)
    if hazard:
        reading.problem("tensor-name", f"the tensor name {name[:100]!r} {hazard}", repr(name[:100]))
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        reading.problem(
            "safetensors-entry", f"{name[:100]!r} does not have exactly dtype, shape, data_offsets"
        )
        return
    dtype, shape, offsets = entry["dtype"], _integers(entry["shape"]), _integers(entry["data_offsets"])
    if not isinstance(dtype, str) or dtype not in BITS:
        reading.problem("safetensors-dtype", f"{name[:100]!r} has the unknown type {str(dtype)[:40]!r}")
        return
    if shape is None or len(shape) > _MAX_DIMENSIONS or offsets is None or len(offsets) != 2:
        reading.problem("safetensors-entry", f"{name[:100]!r} has no sound shape or offsets")
        return
    nbytes = tensor_bytes(dtype, shape)
    start, stop = offsets
    if nbytes is None or stop - start != nbytes or stop > reading.data_size:
        detail = f"{name[:100]!r}: {dtype} {list(shape)[:8]} does not fill bytes {start} to {stop}"
        reading.problem("safetensors-offsets", detail, name)
        return
    if not hazard:
        offset = reading.data_start + start
        reading.tensors.append(
            TensorSource(name=name, dtype=dtype, shape=shape, storage=name, offset=offset, nbytes=nbytes)
        )


def _integers(value: JsonValue) -> tuple[int, ...] | None:
    if not isinstance(value, list):
        return None
    numbers = tuple(item for item in value if type(item) is int and 0 <= item <= _MAX_SIZE)
    return numbers if len(numbers) == len(value) else None


def _cover(reading: _Reading) -> None:
    """Tensors must tile the data section: no overlap, no hole, ending where the file ends."""
    at = reading.data_start
    for tensor in sorted(reading.tensors, key=lambda item: (item.offset, item.nbytes)):
        if tensor.offset != at:
            kind = "overlap" if tensor.offset < at else "hole"
            reading.problem(f"safetensors-{kind}", f"{kind} of {abs(tensor.offset - at)} bytes", tensor.name)
        at = max(at, tensor.offset + tensor.nbytes)
    left = reading.data_start + reading.data_size - at
    if left:
        reading.problem("safetensors-hole", f"{left} bytes at the end belong to no tensor")


def _tail(reading: _Reading, file: BinaryIO, size: int) -> None:
    """A zip reader begins at a file's end, so tensor data that ends in an archive is two files in one."""
    if size < 8 + _EOCD:
        return
    file.seek(size - _EOCD)
    if file.read(4) == b"PK\x05\x06":
        reading.problem("safetensors-polyglot", "the file also ends as a zip archive does")
