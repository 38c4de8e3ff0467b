"""One file's bytes against the manifest: size, every chunk's digest and the whole file's, in one pass.

The gate reads back what it stored this way, so that what it publishes verifies by either digest; those who
load verify by the chunks alone (``signing.chunks``, which says why that is enough).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import BinaryIO

from registry_gate.errors import VerificationError
from registry_gate.release import ManifestFile
from registry_gate.signing.refusal import refusal, shown

_BLOCK = 1024 * 1024

Told = Callable[[int], None]
"""Told how many bytes were just hashed."""


def nobody(count: int) -> None:
    """Tell nobody."""


def check_bytes(stream: BinaryIO, file: ManifestFile, told: Told = nobody) -> None:
    """Read the file to its end and compare.

    Raises:
        VerificationError: ``bytes-differ``.
    """
    whole = sha256()
    begin = 0
    for end, expected in zip(file.pieces(), file.chunks, strict=True):
        piece = sha256()
        for block in _blocks(stream, file, end - begin):
            whole.update(block)
            piece.update(block)
            told(len(block))
        if piece.hexdigest() != expected:
            raise differs(file, f"something changed at or after byte {begin}")
        begin = end
    if stream.read(1):
        raise differs(file, f"it is longer than its {file.size} bytes")
    if whole.hexdigest() != file.sha256:
        raise differs(file, "its sha256 is another")


def _blocks(stream: BinaryIO, file: ManifestFile, left: int) -> Iterator[bytes]:
    """The next ``left`` bytes, a block at a time."""
    while left:
        block = stream.read(min(left, _BLOCK))
        if not block:
            raise differs(file, f"it ends before its {file.size} bytes")
        yield block
        left -= len(block)


def differs(file: ManifestFile, detail: str) -> VerificationError:
    """The refusal of bytes that are not those of the manifest."""
    return refusal("bytes-differ", f"{shown(file.name)} is not the file that was signed: {detail}")
