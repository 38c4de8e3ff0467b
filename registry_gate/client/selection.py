"""Some tensors of a Release: which chunks hold them, found from headers that were verified first.

A tensor of 1 MiB or more is a chunk of its own, so asking for a part of one tensor would spare memory, but no
reading and no hashing: what can be asked for is whole tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from registry_gate.client.tensors import LENGTH, header_length, places
from registry_gate.errors import UsageError

if TYPE_CHECKING:
    from registry_gate.client.own_memory import OwnMemory
    from registry_gate.evidence import TensorSource
    from registry_gate.release import ManifestFile
    from registry_gate.signing.bytes import Told
    from registry_gate.signing.folder import Reading, ReleaseSource


def read_selected(
    source: ReleaseSource, file: ManifestFile, memory: OwnMemory, patterns: Sequence[str], told: Told
) -> tuple[TensorSource, ...]:
    """Verify a weight file's header and the chunks of the tensors that match, in memory; opened once.

    Returns:
        The tensors that match: they are all there, and what lies between them may not be.

    Raises:
        VerificationError: ``missing-file``, ``link``, ``unexpected-file`` or ``bytes-differ``.
        ToolError: ``load-failed``: what was signed is no safetensors file.
    """
    from registry_gate.signing.statements import MODEL_FOLDER

    with source.reading(f"{MODEL_FOLDER}/{file.name}", file.size) as reading:
        taking = _Taking(reading, file, memory, told)
        taking.take([(0, LENGTH)])
        taking.take([(0, header_length(file.name, memory))])
        wanted = tuple(place for place in places(file.name, memory) if _matches(place.name, patterns))
        taking.take([(place.offset, place.offset + place.nbytes) for place in wanted])
    return wanted


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


class _Taking:
    """One weight file on its way into memory; no chunk is read twice."""

    def __init__(self, reading: Reading, file: ManifestFile, memory: OwnMemory, told: Told) -> None:
        self._reading = reading
        self._file = file
        self._memory = memory
        self._told = told
        self._taken: set[int] = set()

    def take(self, spans: Sequence[tuple[int, int]]) -> None:
        """Verify and keep the chunks that the spans touch, but those that are there already."""
        from registry_gate.signing.chunks import check_chunks, wanted_chunks

        chunks = [chunk for chunk in wanted_chunks(self._file, spans) if chunk.begin not in self._taken]
        begin = None
        for chunk in chunks:
            begin = chunk.begin if begin is None else begin
            if chunk.end == chunk.run_end:
                self._memory.expect(begin, chunk.end)
                begin = None
        check_chunks(self._reading, self._file, chunks, out=self._memory.view, told=self._told)
        self._taken.update(chunk.begin for chunk in chunks)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)
