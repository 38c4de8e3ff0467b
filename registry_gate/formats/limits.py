"""How much of one file a reader may take in: every loop and every allocation of the readers ends here."""

from __future__ import annotations

from pydantic import Field

from registry_gate.record import Record

MIB = 1024 * 1024


class ReaderLimits(Record):
    """Bounds of the readers. Sizes in bytes, everything else a count; beyond a bound lies a Problem.

    ``max_config_bytes`` bounds a JSON document, ``max_header_bytes`` a safetensors header (the format's own
    limit), ``max_pickle_bytes`` one pickle stream held in memory, ``max_scanner_bytes`` what picklescan is
    given (it copies literals), ``max_unpacked_bytes`` what may
    come out of one compressed stream. ``max_texts`` bounds strings kept of one pickle, in bytes.
    """

    max_config_bytes: int = Field(default=64 * MIB, gt=0)
    max_header_bytes: int = Field(default=100_000_000, gt=0)
    max_pickle_bytes: int = Field(default=512 * MIB, gt=0)
    max_scanner_bytes: int = Field(default=512 * MIB, gt=0)
    max_pickle_opcodes: int = Field(default=4_000_000, gt=0)
    max_nested_opcodes: int = Field(default=400_000, gt=0)
    max_nesting: int = Field(default=4, ge=0)
    max_pickles: int = Field(default=64, gt=0)
    max_globals: int = Field(default=2048, gt=0)
    max_program_lines: int = Field(default=400, gt=0)
    max_members: int = Field(default=200_000, gt=0)
    max_tensors: int = Field(default=200_000, gt=0)
    max_json_depth: int = Field(default=64, gt=0)
    max_json_nodes: int = Field(default=8_000_000, gt=0)
    max_problems: int = Field(default=100, gt=0)
    max_unpacked_bytes: int = Field(default=64 * MIB, gt=0)
