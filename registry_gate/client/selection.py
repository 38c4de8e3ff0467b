"""Some tensors of a Release: which chunks hold them, found from headers that were verified first.

A tensor of 1 MiB or more is a chunk of its own, so asking for a part of one tensor would spare memory, but no
reading and no hashing: what can be asked for is whole tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from registry_gate.errors import ToolError, UsageError

if TYPE_CHECKING:
    from registry_gate.client.sealed import Held
    from registry_gate.evidence import TensorSource
    from registry_gate.release import ManifestFile
    from registry_gate.signing.bytes import Told
    from registry_gate.signing.folder import Reading, ReleaseSource

_MAX_HEADER = 100_000_000  # the format's own limit
_LENGTH = 8


@dataclass(frozen=True)
class Selected:
    """What of one weight file was verified and copied; ``header`` is what the names were read from."""

    held: Held
    header: bytes
    tensors: tuple[str, ...]

    def compare_header(self) -> None:
        """The header a parser will read must be the one the selection was made from; sealed, it stays so."""
        if self.held.read(len(self.header), 0) != self.header:
            raise ToolError("copy-failed", "another process wrote into this one's memory while it loaded")


def read_selected(
    source: ReleaseSource, file: ManifestFile, held: Held, patterns: Sequence[str], told: Told
) -> Selected:
    """Verify and copy a weight file's header and the chunks of the tensors that match; opened once.

    Raises:
        VerificationError: ``missing-file``, ``link``, ``unexpected-file`` or ``bytes-differ``.
        ToolError: ``load-failed``: what was signed is no safetensors file.
    """
    from registry_gate.signing.statements import MODEL_FOLDER

    with source.reading(f"{MODEL_FOLDER}/{file.name}", file.size) as reading:
        copying = _Copying(reading, file, held, told)
        header = _header(copying)
        places = _places(file, header)
        wanted = [place for place in places if _matches(place.name, patterns)]
        copying.take([(place.offset, place.offset + place.nbytes) for place in wanted])
    return Selected(held, header, tuple(place.name for place in wanted))


def check_patterns(patterns: Sequence[str], names: Sequence[str]) -> None:
    """Every pattern must have found something: a misspelt name must not load as no tensor.

    Raises:
        UsageError: ``no-such-tensor``.
    """
    for pattern in patterns:
        if not any(_matches(name, (pattern,)) for name in names):
            raise UsageError(
                "no-such-tensor",
                f"no tensor of the Release matches {ascii(pattern)[:200]}",
                todo="give names as the model's files have them; * ? [..] match as in file names",
            )


class _Copying:
    """One weight file on its way into private memory; no chunk is read twice."""

    def __init__(self, reading: Reading, file: ManifestFile, held: Held, told: Told) -> None:
        self._reading = reading
        self.file = file
        self.held = held
        self._told = told
        self._taken: set[int] = set()

    def take(self, spans: Sequence[tuple[int, int]]) -> None:
        """Verify and copy the chunks that the spans touch, but those that are there already."""
        from registry_gate.signing.chunks import check_chunks, wanted_chunks

        chunks = [chunk for chunk in wanted_chunks(self.file, spans) if chunk.begin not in self._taken]
        check_chunks(self._reading, self.file, chunks, out=self.held.descriptor, told=self._told)
        self._taken.update(chunk.begin for chunk in chunks)


def _header(copying: _Copying) -> bytes:
    copying.take([(0, _LENGTH)])
    length = int.from_bytes(copying.held.read(_LENGTH, 0), "little")
    if length > min(_MAX_HEADER, copying.file.size - _LENGTH):
        raise _unreadable(copying.file, "its header is longer than the file")
    copying.take([(0, _LENGTH + length)])
    return copying.held.read(_LENGTH + length, 0)


def _places(file: ManifestFile, header: bytes) -> tuple[TensorSource, ...]:
    from registry_gate.formats.limits import ReaderLimits
    from registry_gate.formats.safetensors_file import tensor_places

    try:
        return tensor_places(header[_LENGTH:], file.size, ReaderLimits())
    except ValueError as error:
        raise _unreadable(file, str(error)) from error


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def _unreadable(file: ManifestFile, detail: str) -> ToolError:
    return ToolError(
        "load-failed",
        f"{ascii(file.name)[:200]} is genuine but is no safetensors file that can be read in part: {detail}",
        todo="leave tensors= out, and report the model",
    )
