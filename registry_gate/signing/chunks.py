"""A file against the digests of its chunks: on all cores, and only the chunks that are asked for.

Why this is verification of the file, though no whole-file sha256 is taken: the manifest, which the gate
signed under the same verdict and key as ``model.sig``, states the digest of every chunk and its algorithm
(BLAKE3 for weights; sha256 for other files, and for all that was signed before), the chunks must tile the
file without gap or overlap (``signing.manifest``), and nothing may follow the last. Bytes with these digests
are the bytes the gate stated, by the same 128 bits of collision resistance that a sha256 of the whole has
(``registry_gate.hashing``). That one can only be taken from first byte to last, on one core. The gate took
both of the same bytes in the pass that wrote them, takes both again before a Release leaves it, and
``verify`` takes both (``signing.bytes``), so that the public Model Signing tool and this module judge alike.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from registry_gate.release import ManifestFile
from registry_gate.signing.bytes import Told, differs, new_hash, nobody
from registry_gate.signing.folder import Reading

# A block is read, hashed and written while it is in the second-level cache of one core.
_BLOCK = 256 * 1024
_SMALL = 4 * 1024 * 1024
_MAX_WORKERS = 16

Out = int | memoryview | None
"""Where bytes go: a descriptor that can be written at any offset, memory for the whole file, or nowhere."""


@dataclass(frozen=True)
class Chunk:
    """One chunk; ``run_end`` is where the unbroken run of wanted chunks ends that it lies in."""

    begin: int
    end: int
    digest: str
    run_end: int


def wanted_chunks(file: ManifestFile, spans: Sequence[tuple[int, int]] | None = None) -> tuple[Chunk, ...]:
    """The chunks that hold any byte of the spans (begin, end), in order; all of them if None."""
    bounds = list(zip((0, *file.pieces()), file.pieces(), file.chunks, strict=False))
    if spans is not None:
        bounds = list(_touched(bounds, sorted(span for span in spans if span[0] < span[1])))
    chunks: list[Chunk] = []
    for begin, end, digest in reversed(bounds):
        joined = bool(chunks) and chunks[-1].begin == end
        chunks.append(Chunk(begin, end, digest, chunks[-1].run_end if joined else end))
    return tuple(reversed(chunks))


def _touched(
    bounds: Sequence[tuple[int, int, str]], spans: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, str]]:
    left = deque(spans)
    for begin, end, digest in bounds:
        while left and left[0][1] <= begin:
            left.popleft()
        if left and left[0][0] < end:
            yield begin, end, digest


def workers() -> int:
    """How many threads hash: the cores this process may use, up to sixteen."""
    return max(1, min(len(os.sched_getaffinity(0)), _MAX_WORKERS))


def check_chunks(
    reading: Reading,
    file: ManifestFile,
    chunks: Sequence[Chunk],
    *,
    out: Out = None,
    told: Told = nobody,
    threads: int | None = None,
) -> None:
    """Read and compare chunks; what is compared is then at its place in ``out``.

    Into memory, bytes are read straight and hashed where they lie. Where all chunks are wanted, or it costs
    nothing, the file must also end where the manifest says. ``out`` may be used only when this returns.

    Args:
        reading: the file, opened once.
        file: what the manifest says of it.
        chunks: from :func:`wanted_chunks`.
        out: where the bytes go; None to compare only.
        told: told from any thread, one at a time.
        threads: how many hash; :func:`workers` if None, one where the reading goes forward only.

    Raises:
        VerificationError: ``bytes-differ``, ``unknown-algorithm``.
        OSError: ``out`` could not be written.
    """
    work = _Work(reading, file, out, told)
    count = sum(chunk.end - chunk.begin for chunk in chunks)
    crew = min(threads or workers(), len(chunks)) if reading.concurrent else 1
    if crew < 2 or count <= _SMALL:
        work.do(deque(chunks))
    else:
        # The longest first, so that no thread is left alone with a long one at the end.
        _together(work, deque(sorted(chunks, key=lambda chunk: chunk.begin - chunk.end)), crew)
    if (reading.concurrent or len(chunks) == len(file.chunks)) and reading.read_into(
        memoryview(bytearray(1)), file.size, file.size + 1
    ):
        raise differs(file, f"it is longer than its {file.size} bytes")


def _together(work: _Work, chunks: deque[Chunk], crew: int) -> None:
    with ThreadPoolExecutor(crew, thread_name_prefix="registry-gate-verify") as pool:
        try:
            for done in as_completed([pool.submit(work.do, chunks) for _ in range(crew)]):
                done.result()
        finally:
            work.stop.set()


class _Work:
    """What the threads share; each takes the next chunk until none is left or one has failed."""

    def __init__(self, reading: Reading, file: ManifestFile, out: Out, told: Told) -> None:
        self.stop = threading.Event()
        self._reading = reading
        self._file = file
        self._out = out
        self._told = told
        self._telling = threading.Lock()

    def do(self, chunks: deque[Chunk]) -> None:
        room = memoryview(bytearray(_BLOCK))
        while not self.stop.is_set():
            try:
                chunk = chunks.popleft()
            except IndexError:
                return
            self._check(chunk, room)

    def _check(self, chunk: Chunk, room: memoryview) -> None:
        found = new_hash(self._file)
        at = chunk.begin
        while at < chunk.end and not self.stop.is_set():
            place = self._place(room, at, chunk.end)
            count = self._reading.read_into(place, at, chunk.run_end)
            if not count:
                raise differs(self._file, f"it ends before its {self._file.size} bytes")
            found.update(place[:count])
            if isinstance(self._out, int):
                _write(self._out, place[:count], at)
            at += count
            with self._telling:
                self._told(count)
        if at == chunk.end and found.hexdigest() != chunk.digest:
            raise differs(self._file, f"something changed between bytes {chunk.begin} and {chunk.end}")

    def _place(self, room: memoryview, at: int, end: int) -> memoryview:
        """Where the next block of a chunk is read to."""
        if isinstance(self._out, memoryview):
            return self._out[at : min(at + _BLOCK, end)]
        return room[: end - at]


def _write(out: int, block: memoryview, at: int) -> None:
    while block:
        count = os.pwrite(out, block, at)
        block = block[count:]
        at += count
