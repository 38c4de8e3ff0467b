"""Decompress with a bound on what comes out: a bomb costs seconds and some memory, no more."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from registry_gate.formats.window import Readable

_CHUNK = 64 * 1024
_LZMA_MEMORY = 128 * 1024 * 1024

PACKINGS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x5d\x00\x00", "lzma"),
    (b"\x78\x01", "zlib"),
    (b"\x78\x5e", "zlib"),
    (b"\x78\x9c", "zlib"),
    (b"\x78\xda", "zlib"),
)
"""First bytes of compressed streams that can be looked into."""


@dataclass(frozen=True)
class Unpacked:
    """What came out. ``fault`` says in words what was wrong; ``bomb`` that the bound was reached."""

    data: bytes
    fault: str = ""
    bomb: bool = False


def packing_of(head: bytes) -> str | None:
    """The name of the compression that some first bytes announce, None for others."""
    return next((name for magic, name in PACKINGS if head.startswith(magic)), None)


class _Zlib:
    """zlib's decompressor behind the interface of bz2's and lzma's."""

    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


_Decompressor = _Zlib | bz2.BZ2Decompressor | lzma.LZMADecompressor
_OPEN: dict[str, Callable[[], _Decompressor]] = {
    "gzip": lambda: _Zlib(31),
    "zlib": lambda: _Zlib(15),
    "deflate": lambda: _Zlib(-15),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LZMA_MEMORY),
}


def unpack(file: BinaryIO | Readable, packing: str, limit: int) -> Unpacked:
    """Decompress one stream from a file's beginning, up to a limit of bytes.

    Args:
        file: the stream; nothing else in it is expected.
        packing: a name of ``PACKINGS``, or ``deflate``.
        limit: bytes that may come out.
    """
    stream = _OPEN[packing]()
    out = bytearray()
    file.seek(0)
    try:
        while not stream.eof:
            data = file.read(_CHUNK) if stream.needs_input else b""
            if stream.needs_input and not data:
                return Unpacked(bytes(out), "the compressed stream is cut short")
            out += stream.decompress(data, limit + 1 - len(out))
            if len(out) > limit:
                return Unpacked(bytes(out), f"more than {limit} bytes come out", bomb=True)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
        return Unpacked(bytes(out), f"the compressed stream is broken: {str(error)[:80]}")
    except MemoryError:
        return Unpacked(bytes(out), "more memory is needed than a reader takes", bomb=True)
    rest = bool(stream.unused_data or file.read(1))
    return Unpacked(bytes(out), "bytes follow the compressed stream" if rest else "")
