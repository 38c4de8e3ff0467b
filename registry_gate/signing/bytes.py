"""One file's bytes against all that the manifest says of them: size, each chunk's digest, the whole's sha256.

The gate reads back what it stored this way, and ``verify`` reads a Release this way: what passes verifies by
the public Model Signing tool, which knows the sha256 alone, and by the chunks, by which those who load verify
(``signing.chunks``, which says why they are enough). Each byte is read once, and both digests are of it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

from registry_gate.errors import VerificationError
from registry_gate.hashing import ALGORITHMS, Hash
from registry_gate.release import ManifestFile
from registry_gate.signing.folder import Reading
from registry_gate.signing.refusal import refusal, shown

# Long enough that handing a block to another thread costs nothing beside hashing it.
_BLOCK = 4 * 1024 * 1024

Told = Callable[[int], None]
"""Told how many bytes were just hashed."""


def nobody(count: int) -> None:
    """Tell nobody."""


def new_hash(file: ManifestFile) -> Hash:
    """What digests the chunks of a file.

    Raises:
        VerificationError: ``unknown-algorithm``: not one of ``hashing.ALGORITHMS``.
    """
    made = ALGORITHMS.get(file.algorithm)
    if made is None:
        raise refusal("unknown-algorithm", f"{shown(file.name)} is digested by {shown(file.algorithm)}")
    return made()


def check_bytes(reading: Reading, file: ManifestFile, told: Told = nobody, *, threads: int = 2) -> None:
    """Read the file to its end, each byte once, and compare every digest.

    Args:
        reading: the file, opened once.
        file: what the manifest says of it.
        told: told from this thread.
        threads: with two, chunks are hashed beside the whole; more are of no use.

    Raises:
        VerificationError: ``bytes-differ``, ``unknown-algorithm``.
    """
    if threads < 2 or file.size < _BLOCK:
        _check(reading, file, told, _in_turn)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="registry-gate-verify") as pool:

        def at_once(whole: Hash, piece: Hash, block: memoryview) -> None:
            running = pool.submit(piece.update, block)
            whole.update(block)
            running.result()

        _check(reading, file, told, at_once)


def _in_turn(whole: Hash, piece: Hash, block: memoryview) -> None:
    whole.update(block)
    piece.update(block)


def _check(
    reading: Reading, file: ManifestFile, told: Told, take: Callable[[Hash, Hash, memoryview], None]
) -> None:
    whole = sha256()
    room = memoryview(bytearray(min(_BLOCK, file.size + 1)))
    at = 0
    for end, expected in zip(file.pieces(), file.chunks, strict=True):
        begin, piece = at, new_hash(file)
        while at < end:
            count = reading.read_into(room[: end - at], at, file.size)
            if not count:
                raise differs(file, f"it ends before its {file.size} bytes")
            take(whole, piece, room[:count])
            at += count
            told(count)
        if piece.hexdigest() != expected:
            raise differs(file, f"something changed at or after byte {begin}")
    if reading.read_into(room[:1], file.size, file.size + 1):
        raise differs(file, f"it is longer than its {file.size} bytes")
    if whole.hexdigest() != file.sha256:
        raise differs(file, "its sha256 is another")


def differs(file: ManifestFile, detail: str) -> VerificationError:
    """The refusal of bytes that are not those of the manifest."""
    return refusal("bytes-differ", f"{shown(file.name)} is not the file that was signed: {detail}")
