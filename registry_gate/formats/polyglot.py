"""Files that two readers take for two different things: an archive at the end, a tar header at the start."""

from __future__ import annotations

import struct
from pathlib import Path

from registry_gate.evidence import FileFormat
from registry_gate.formats.limits import MIB, ReaderLimits
from registry_gate.formats.pickle_program import interpret
from registry_gate.formats.sniff import Glance
from registry_gate.formats.tar_layout import is_tar

_END = struct.Struct("<4s4H2IH")
_TAIL = _END.size + 0xFFFF
_TRIES = 64
_START = MIB
_MAY_RUN = frozenset({FileFormat.SAFETENSORS, FileFormat.IMAGE, FileFormat.GGUF})
"""Formats whose first bytes can be instructions of a pickle, too."""


def second_reading(path: Path, glance: Glance, format_: FileFormat, limits: ReaderLimits) -> str | None:
    """Say what else than its own format a file can be read as; None for ordinary files.

    Args:
        path: the file.
        glance: its start.
        format_: what it was read as.
        limits: bounds of the pickle machine.
    """
    if format_ is not FileFormat.ARCHIVE and is_tar(glance.head):
        return f"it begins as {format_.value} and as a tar archive, which torch.load tries first"
    if format_ in _MAY_RUN and _runs(path, limits):
        return f"it begins as {format_.value} and runs as a pickle"
    if glance.head.startswith(b"PK") or glance.size < _END.size:
        return None
    return "it ends as a zip archive does, so zip readers open another file" if _ends_as_zip(path) else None


def _runs(path: Path, limits: ReaderLimits) -> bool:
    with path.open("rb") as file:
        return interpret(file.read(_START), limits).calls > 0


def _ends_as_zip(path: Path) -> bool:
    """True where an end record states a directory that lies right before it, as ``zipfile`` looks for one."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _TAIL))
        tail = file.read(_TAIL)
    at = len(tail)
    for _ in range(_TRIES):
        at = tail.rfind(b"PK\x05\x06", 0, at)
        if at < 0:
            return False
        if at + _END.size <= len(tail) and _sound(tail, at):
            return True
    return False


def _sound(tail: bytes, at: int) -> bool:
    _, disk, first, here, count, length, _, comment = _END.unpack_from(tail, at)
    if disk or first or here != count or at + _END.size + comment > len(tail) or not count:
        return False
    begin = at - length
    return begin < 0 or tail[begin : begin + 4] in (b"PK\x01\x02", b"PK\x06\x06")
