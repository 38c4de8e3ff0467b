"""Read torch's legacy files (before 1.6): five pickles, then the bytes of every storage, one after another.

Source: torch 2.13 ``torch/serialization.py`` ``_legacy_save`` and ``_legacy_load``. Storages are
little-endian whatever wrote them (``torch/csrc/serialization.cpp``): an element count of eight bytes, data.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from registry_gate.evidence import FileFacts, FileFormat, PickleFacts, Problem
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.opcodes import Buffer, Malformed
from registry_gate.formats.pickle_program import Program, interpret
from registry_gate.formats.pickle_values import ListValue, Value, render
from registry_gate.formats.shown import shown
from registry_gate.formats.storages import NotPlain, Storage, persistent_ids, storage_of
from registry_gate.formats.torch_tensors import BLOCKING, Collection, collect
from registry_gate.formats.zip_layout import Member

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_PICKLES = ("magic number", "protocol version", "system facts", "object", "storage keys")
_COUNT = 8


@dataclass
class _Reading:
    """What one legacy file has been found to hold so far."""

    limits: ReaderLimits
    programs: list[Program] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, code: str, detail: str, offset: int | None = None) -> None:
        if len(self.problems) < self.limits.max_problems:
            self.problems.append(Problem(code=code, detail=shown(detail, 300), offset=offset))

    @property
    def pickles(self) -> tuple[PickleFacts, ...]:
        return tuple(facts for program in self.programs for facts in program.pickles)

    @property
    def read_whole(self) -> bool:
        """True when all five pickles ran to their ends."""
        return len(self.programs) == len(_PICKLES) and all(program.complete for program in self.programs)


def read_legacy(path: Path, relative: str, limits: ReaderLimits) -> FileFacts:
    """Describe a legacy checkpoint: its five programs, and its tensors with absolute offsets.

    Args:
        path: the file.
        relative: its path inside the candidate.
        limits: bounds of the reader.
    """
    size = path.stat().st_size
    reading = _Reading(limits)
    with path.open("rb") as file:
        window = min(size, limits.max_pickle_bytes)
        with mmap.mmap(file.fileno(), window, access=mmap.ACCESS_READ) as data:
            _pickles(data, reading)
        collection = _tensors(file, size, reading)
    problems = (*reading.problems, *collection.problems)
    return FileFacts(
        path=relative,
        format=FileFormat.TORCH_LEGACY,
        reader="torch-legacy",
        understood=reading.read_whole and not any(item.code in BLOCKING for item in problems),
        problems=problems[: limits.max_problems],
        pickles=reading.pickles,
        tensors=tuple(collection.tensors),
    )


def _pickles(data: Buffer, reading: _Reading) -> None:
    """Interpret the five pickles; the first three and the last must be the plain data that torch writes."""
    at = 0
    for name in _PICKLES:
        if at >= len(data):
            reading.problem("pickle-not-understood", f"the file ends before its pickle of the {name}", at)
            return
        program = interpret(data, reading.limits, start=at)
        reading.programs.append(program)
        reading.problems += program.problems
        if not program.complete:
            return
        at = program.end
    magic, protocol = reading.programs[0].result, reading.programs[1].result
    if magic != _MAGIC or protocol != _PROTOCOL:
        stated = f"{render(magic)} and {render(protocol)}"
        reading.problem("legacy-malformed", f"magic number and protocol are {stated}")
    plain = (0, 1, 2, 4)
    if any(reading.programs[index].calls or reading.programs[index].imports for index in plain):
        reading.problem("legacy-malformed", "a pickle beside the object is a program, not plain data")


def _tensors(file: BinaryIO, size: int, reading: _Reading) -> Collection:
    nothing = Collection({}, reading.limits, size)
    if not reading.read_whole:
        return nothing
    result, keys = reading.programs[3].result, reading.programs[4].result
    try:
        named = _named(result)
        members = _storages(file, size, reading, keys, named)
    except (Malformed, NotPlain) as stop:
        offset = stop.offset if isinstance(stop, Malformed) else None
        reading.problem("legacy-malformed", str(stop), offset)
        return nothing
    collection = collect(result, members, reading.limits, size)
    unused = sorted(members.keys() - collection.storages.keys())
    refused = any(item.code == "tensor-not-convertible" for item in collection.problems)
    if unused and not collection.extra_count and not refused:
        collection.problem("extra-objects", f"{len(unused)} storages belong to no tensor", unused[0])
    if not collection.tensors:
        collection.problem("no-tensors", "no tensor was found in the checkpoint")
    return collection


def _named(result: Value) -> dict[str, Storage]:
    """All storages of the object by key. Raises NotPlain where one is named in two ways."""
    named: dict[str, Storage] = {}
    for identifier in persistent_ids(result):
        inner = identifier.identifier
        if isinstance(inner, tuple) and inner and inner[0] == "module":
            continue  # a class with its source: its import is judged as an import
        storage = storage_of(identifier)
        whole = Storage(storage.key, storage.kind, storage.numel)
        if named.setdefault(storage.key, whole) != whole:
            raise NotPlain(f"storage {storage.key[:40]!r} is named with two types or lengths")
    return named


def _storages(
    file: BinaryIO, size: int, reading: _Reading, keys: Value, named: dict[str, Storage]
) -> dict[str, Member]:
    """Walk the storages behind the pickles; they must be those named, and end where the file ends."""
    if not isinstance(keys, ListValue) or not all(isinstance(key, str) for key in keys.items):
        raise Malformed(0, f"the list of storage keys is {render(keys)}")
    members: dict[str, Member] = {}
    at = reading.programs[4].end
    for key in keys.items:
        storage = named.get(key) if isinstance(key, str) else None
        if storage is None or storage.key in members:
            raise Malformed(at, f"storage {render(key)} is listed twice or belongs to nothing")
        file.seek(at)
        count = int.from_bytes(file.read(_COUNT), "little", signed=True)
        if count != storage.numel:
            raise Malformed(at, f"storage {render(key)} holds {count} elements, {storage.numel} are named")
        length = count * (storage.itemsize or 0)
        members[storage.key] = Member(storage.key, at + _COUNT, length, 0, True)
        at += _COUNT + length
        if at > size:
            raise Malformed(size, f"storage {render(key)} reaches behind the end of the file")
    if named.keys() - members.keys():
        raise Malformed(at, f"{len(named.keys() - members.keys())} storages are named and not there")
    if at != size:
        reading.problem("legacy-trailing-bytes", f"{size - at} bytes follow the last storage", at)
    return members
