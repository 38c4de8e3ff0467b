"""Holds an index of shards (``*.index.json``) against the shards: each tensor where it says, nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from registry_gate.evidence import FileFacts

SUFFIX = ".index.json"
_SHOWN = 5


class Fault(Enum):
    """How an index fails: shards that are not there, a tensor elsewhere, a tensor it does not name."""

    ABSENT = "absent"
    INCOMPLETE = "incomplete"
    ELSEWHERE = "elsewhere"
    UNNAMED = "unnamed"


@dataclass(frozen=True)
class Mismatch:
    """One way in which index and shards differ, in words."""

    fault: Fault
    detail: str


def is_index(file: FileFacts) -> bool:
    """True for the facts of an index of shards whose table was read."""
    return file.path.endswith(SUFFIX) and bool(file.metadata)


def mismatches(index: FileFacts, files: Sequence[FileFacts]) -> list[Mismatch]:
    """Compare an index with the shards beside it.

    Args:
        index: its ``metadata`` maps tensor names to shard names.
        files: of the whole candidate; shards that were not understood are left to their own findings.
    """
    folder = index.path.rpartition("/")[0]
    beside = {file.path.rpartition("/")[2]: file for file in files if file.path.rpartition("/")[0] == folder}
    named = set(index.metadata.values())
    there = {name: beside[name] for name in named if name in beside}
    if not there:
        return [Mismatch(Fault.ABSENT, f"none of the {len(named)} shards it names is there")]
    found = []
    if missing := sorted(named - there.keys()):
        found.append(Mismatch(Fault.INCOMPLETE, f"{_shown(missing)} named and not there"))
    whole = there | {name: file for name, file in beside.items() if _in_series(name, index.path)}
    read = {name: {tensor.name for tensor in file.tensors} for name, file in whole.items() if file.understood}
    wrong = sorted(name for name, shard in index.metadata.items() if name not in read.get(shard, {name}))
    if wrong:
        found.append(Mismatch(Fault.ELSEWHERE, f"{_shown(wrong)} not in the shard that is named for it"))
    unnamed = sorted({name for tensors in read.values() for name in tensors} - index.metadata.keys())
    if unnamed:
        found.append(Mismatch(Fault.UNNAMED, f"{_shown(unnamed)} in the shards and not in the index"))
    return found


def _in_series(name: str, index: str) -> bool:
    """True for ``model-00002-of-00003.bin`` beside ``model.bin.index.json``."""
    stem, _, suffix = index.rpartition("/")[2].removesuffix(SUFFIX).rpartition(".")
    return re.fullmatch(rf"{re.escape(stem)}-\d{{5}}-of-\d{{5}}\.{re.escape(suffix)}", name) is not None


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name[:80]) for name in names[:_SHOWN]) + more
