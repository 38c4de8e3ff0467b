"""A model's fingerprint: what one pass saw of each tensor, small enough to keep and compare."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, ValidationError

from registry_gate.errors import UsageError
from registry_gate.evidence import TensorMeasurement
from registry_gate.record import Record, is_none

MAX_BYTES = 512 << 20


class TensorPrint(Record):
    """One tensor. The fields are those of :class:`registry_gate.evidence.TensorMeasurement`.

    It holds BLAKE3 or, from before that was used, sha256 of the tensor's bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str | None = Field(default=None, exclude_if=is_none)
    blake3: str | None = Field(default=None, exclude_if=is_none)
    nan: int = Field(ge=0)
    inf: int = Field(ge=0)
    zeros: int = Field(ge=0)
    elements: int = Field(ge=0)
    minimum: float | None
    maximum: float | None
    mean: float | None
    std: float | None
    histogram: tuple[tuple[int, int, int], ...]
    sketch: tuple[float, ...]

    def has_bytes_of(self, other: TensorPrint) -> bool:
        """Whether one algorithm gave both the same digest; False where they share none."""
        pairs = ((self.sha256, other.sha256), (self.blake3, other.blake3))
        return any(mine is not None and mine == theirs for mine, theirs in pairs)


class Fingerprint(Record):
    """All tensors of a model, sorted by name. ``version`` says how histogram and sketch were made."""

    version: int = Field(default=1, ge=1, le=1)
    tensors: tuple[TensorPrint, ...] = Field(min_length=1)


def fingerprint(tensors: Iterable[TensorMeasurement]) -> Fingerprint:
    """The fingerprint of measured tensors.

    Tensors of one name in different files (the modules of a pipeline) are told apart by their file's folder.
    """
    prints = (
        TensorPrint(
            name=_named(tensor),
            sha256=tensor.staged_sha256,
            blake3=tensor.staged_blake3,
            **tensor.model_dump(include=_TAKEN),
        )
        for tensor in tensors
    )
    return Fingerprint(tensors=tuple(sorted(prints, key=lambda item: item.name)))


_TAKEN = set(TensorPrint.model_fields) - {"name", "sha256", "blake3"}


def _named(tensor: TensorMeasurement) -> str:
    folder = tensor.file.rpartition("/")[0]
    return f"{folder}/{tensor.name}" if folder else tensor.name


def write_fingerprint(found: Fingerprint, path: Path) -> None:
    """Write it whole, or not at all.

    Raises:
        UsageError: ``cannot-write-fingerprint``.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(found.canonical() + b"\n")
        partial.replace(path)
    except OSError as error:
        raise UsageError("cannot-write-fingerprint", f"{path}: {error.strerror}") from error


def read_fingerprint(path: Path) -> Fingerprint:
    """Read what :func:`write_fingerprint` wrote.

    Raises:
        UsageError: ``bad-fingerprint``: absent, too large, or not a fingerprint of this version.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise _bad(path, f"it is longer than {MAX_BYTES} bytes")
        found = Fingerprint.from_json(data)
    except OSError as error:
        raise _bad(path, error.strerror or "it cannot be read") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _bad(path, f"{first['loc']!r}: {first['msg']}"[:300]) from None
    if len({tensor.name for tensor in found.tensors}) != len(found.tensors):
        raise _bad(path, "it names a tensor twice")
    return found


def _bad(path: Path, what: str) -> UsageError:
    return UsageError(
        "bad-fingerprint",
        f"{path} cannot be used as a reference: {what}",
        todo="write one with `registry-gate triage PATH --write-fingerprint FILE`",
    )
