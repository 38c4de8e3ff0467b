"""Reads a file once and hands every piece to several workers at a time, in bounded memory.

hashlib, numpy and write(2) release the interpreter's lock, so threads are enough. Each lane is one thread
and takes its jobs in the order of the file; a buffer is filled again only when every lane is done with it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

READ_SIZE = 4 << 20
_BUFFERS = 4

Job = Callable[[memoryview], None]
"""Takes the next bytes of the file; they are valid only until it returns."""


class Lanes:
    """A fixed number of threads, each with its own queue."""

    def __init__(self, count: int) -> None:
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix=f"lane-{index}") for index in range(count)]
        self._buffers = [bytearray(READ_SIZE) for _ in range(_BUFFERS)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for thread in self._threads:
            thread.shutdown(wait=True, cancel_futures=True)

    def pump(
        self,
        handle: int,
        jobs: Callable[[memoryview], Sequence[Callable[[], None]]],
        limit: int,
        done: Callable[[int], None],
    ) -> int:
        """Read a file to its end and run the jobs of each piece, one a lane, in order within a lane.

        Args:
            handle: an open file descriptor, at its beginning.
            jobs: called with each piece, in order; what it returns runs on the lanes.
            limit: stop after more than so many bytes: the file has grown.
            done: called with the bytes read so far.

        Returns:
            The bytes read; more than ``limit`` means that the file is longer than it.

        Raises:
            Whatever a job raises, and OSError.
        """
        total = 0
        busy: deque[tuple[bytearray, list[Future[None]]]] = deque()
        free = list(self._buffers)
        try:
            while total <= limit:
                buffer = free.pop() if free else _wait(busy)
                size = os.readv(handle, [buffer])
                if not size:
                    break
                total += size
                work = jobs(memoryview(buffer)[:size])
                futures = [thread.submit(job) for thread, job in zip(self._threads, work, strict=False)]
                busy.append((buffer, futures))
                done(total)
            while busy:
                _wait(busy)
        finally:
            for _, futures in busy:  # after a failure the other lanes must let go of the buffers
                for future in futures:
                    future.cancel() or future.exception()
        return total


def _wait(busy: deque[tuple[bytearray, list[Future[None]]]]) -> bytearray:
    buffer, futures = busy[0]
    for future in futures:
        future.result()
    busy.popleft()
    return buffer
