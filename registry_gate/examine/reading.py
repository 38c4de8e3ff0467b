"""What goes into the confined reader and what comes out: records shared by both sides."""

from __future__ import annotations

from registry_gate.evidence import FileFacts
from registry_gate.record import Record


class ReadRequest(Record):
    """The files to describe: paths relative to ``root``; sizes in bytes."""

    root: str
    paths: tuple[str, ...]
    max_config_bytes: int


class ReadAnswer(Record):
    """One FileFacts for each path asked for, in the order asked."""

    files: tuple[FileFacts, ...]
