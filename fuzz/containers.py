"""Fuzz targets for the readers of containers: zip, legacy, npy and safetensors, in process.

``python -m fuzz.zip_files -runs=1000000 fuzz/seeds/zip``. A target fails on any exception, on an import that
a reader makes while it reads, on a file opened for writing, and (libFuzzer's own time-out) on a hang.
"""

from __future__ import annotations

import codecs
import heapq  # noqa: F401 - collections.Counter imports it when it is first used
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from registry_gate.evidence import FileFacts
from registry_gate.formats.limits import ReaderLimits
from registry_gate.layout import ITEMSIZE, extent

LIMITS = ReaderLimits(
    max_pickle_opcodes=4000, max_nested_opcodes=1000, max_unpacked_bytes=1 << 20, max_pickle_bytes=1 << 20
)
Reader = Callable[[Path, str, ReaderLimits], FileFacts]
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_GUARDED = ("import", "exec", "compile", "os.system", "subprocess.Popen", "socket.connect", "marshal.loads")


class Deed(AssertionError):
    """A reader did what no reader may."""


class _Guard:
    """An audit hook that is armed only while a reader runs."""

    def __init__(self) -> None:
        self.armed = False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.armed:
            return
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
            raise Deed(f"opened {arguments[0]!r} for writing")
        if event in _GUARDED:
            raise Deed(f"{event} {arguments[:1]!r}")


def as_it_is(data: bytes) -> bytes:
    """An input is the file itself."""
    return data


def target(reader: Reader, name: str, made: Callable[[bytes], bytes] = as_it_is) -> Callable[[bytes], None]:
    """A function that lets a reader describe some bytes and holds the answer against the file.

    ``made`` turns an input into the file's bytes.
    """
    # a file in memory: on a disk, opening it takes longer than reading it
    handle = os.memfd_create(name)
    path = Path(f"/proc/self/fd/{handle}")
    guard = _Guard()
    for codec in ("unicode_escape", "raw_unicode_escape", "latin-1", "ascii", "utf-8", "utf-16"):
        codecs.lookup(codec)  # Python imports codecs when they are first used
    sys.addaudithook(guard)

    def once(data: bytes) -> None:
        data = made(data)
        if not data:
            return
        os.ftruncate(handle, 0)
        os.pwrite(handle, data, 0)
        guard.armed = True
        try:
            facts = reader(path, name, LIMITS)
        finally:
            guard.armed = False
        check(facts, len(data))

    return once


def check(facts: FileFacts, size: int) -> None:
    """Facts must be whole: encodable, with reasons, and tensors inside the file."""
    if FileFacts.from_json(facts.canonical()) != facts or not (facts.understood or facts.problems):
        raise Deed("the facts do not survive the pipe, or give no reason")
    for tensor in facts.tensors:
        if (
            tensor.dtype in ITEMSIZE
            and tensor.offset + extent(tensor.dtype, tensor.shape, tensor.stride) > size
        ):
            raise Deed(f"tensor {tensor.name!r} reaches outside the file")


def fuzz(
    reader: Reader,
    name: str,
    arguments: Sequence[str],
    made: Callable[[bytes], bytes] = as_it_is,
) -> None:
    """Hand a target to atheris; ends the process."""
    import atheris

    atheris.Setup(list(arguments), target(reader, name, made))
    atheris.Fuzz()
