"""Read zip files: torch checkpoints to their tensors; TorchScript, NumPy and other archives by name only."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from registry_gate.evidence import FileFacts, FileFormat, PickleFacts, Problem
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.opcodes import Malformed
from registry_gate.formats.pickle_program import Program, interpret
from registry_gate.formats.torch_tensors import Collection, collect
from registry_gate.formats.zip_layout import Layout, Member, read_layout, read_member

_SMALL = 4096
_GLANCE = 64 * 1024
_SLACK = 1024
_PLAIN = frozenset(
    {"version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id", "data.pkl"}
)
_BLOCKING = frozenset(
    {"zip-malformed", "zip-readers-differ", "zip-hidden-bytes", "zip-compressed", "big-endian"}
    | {"several-state-dicts", "tensor-limit", "tensor-name", "tensor-not-plain", "pickle-trailing-bytes"}
)
"""Problems after which the list of tensors is not the whole truth, so nothing may be copied by it."""


def read_zip(path: Path, relative: str, limits: ReaderLimits) -> FileFacts:
    """Describe a zip file: a torch checkpoint in full, anything else by what kind it is.

    Args:
        path: the file.
        relative: its path inside the candidate.
        limits: bounds of the reader.
    """
    with path.open("rb") as file:
        layout = read_layout(file, path.stat().st_size, limits)
        format_ = _kind(layout)
        if format_ in (FileFormat.TORCH_ZIP, FileFormat.TORCHSCRIPT):
            return _torch(file, relative, layout, format_, limits)
        pickles, problems = _other_pickles(file, layout, "", limits)
        kind = "a NumPy archive" if format_ is FileFormat.NUMPY else "a zip archive"
        code = "other-weights-left-behind" if format_ is FileFormat.NUMPY else "format-not-allowed"
        note = Problem(code=code, detail=f"{kind} of {len(layout.members)} members")
        return FileFacts(
            path=relative,
            format=format_,
            reader="zip",
            understood=False,
            problems=(note, *_serious(layout), *problems)[: limits.max_problems],
            pickles=pickles,
        )


def _serious(layout: Layout) -> list[Problem]:
    """What matters in an archive that is not carried: compression is ordinary there."""
    return [item for item in layout.problems if item.code != "zip-compressed"]


def _kind(layout: Layout) -> FileFormat:
    names = [member.name for member in layout.members]
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        return FileFormat.TORCHSCRIPT
    if "data.pkl" in inner or "data.pkl" in names:
        return FileFormat.TORCH_ZIP
    return FileFormat.NUMPY if names and all(name.endswith(".npy") for name in names) else FileFormat.ZIP


def _torch(
    file: BinaryIO, relative: str, layout: Layout, format_: FileFormat, limits: ReaderLimits
) -> FileFacts:
    root = layout.members[0].name.partition("/")[0] + "/"
    checkpoint = format_ is FileFormat.TORCH_ZIP
    problems = list(layout.problems) if checkpoint else _serious(layout)
    try:
        program = _program(file, layout, root, limits)
        problems += [*program.problems, *_order(file, layout, root)]
    except Malformed as stop:
        program = None
        problems.append(Problem(code="zip-malformed", detail=stop.detail, offset=stop.offset))
    pickles, others = _other_pickles(file, layout, root, limits)
    collection = _tensors(program, layout, root, limits) if checkpoint else Collection({}, limits)
    if not checkpoint:
        code = "other-weights-left-behind" if relative.endswith(".ot") else "format-not-allowed"
        others.append(Problem(code=code, detail="a TorchScript archive: a program, not weights alone"))
    elif program is not None and not collection.tensors:
        others.append(Problem(code="no-tensors", detail="no tensor was found in the checkpoint"))
    return FileFacts(
        path=relative,
        format=format_,
        reader="torch-zip",
        understood=checkpoint
        and program is not None
        and program.complete
        and not any(item.code in _BLOCKING for item in (*problems, *collection.problems)),
        problems=(*problems, *others, *collection.problems)[: limits.max_problems],
        pickles=(*(program.pickles if program else ()), *pickles),
        tensors=tuple(collection.tensors),
    )


def _program(file: BinaryIO, layout: Layout, root: str, limits: ReaderLimits) -> Program:
    name = f"{root}data.pkl"
    member = layout.member(name)
    if member is None:
        raise Malformed(0, f"the archive's first folder {root[:100]!r} holds no data.pkl")
    data = read_member(file, member, limits.max_pickle_bytes)
    program = interpret(data, limits, member=name)
    if program.complete and program.end != len(data):
        trailing = Problem(
            code="pickle-trailing-bytes",
            detail=f"{len(data) - program.end} bytes follow the end of the pickle",
            member=name,
            offset=program.end,
        )
        return Program(
            program.pickles, (*program.problems, trailing), program.result, program.end, program.calls
        )
    return program


def _order(file: BinaryIO, layout: Layout, root: str) -> list[Problem]:
    """Big-endian checkpoints cannot be copied; members under a second root are seen by some readers only."""
    problems = []
    member = layout.member(f"{root}byteorder")
    if member is not None:
        order = read_member(file, member, _SMALL)
        if order == b"big":
            problems.append(Problem(code="big-endian", detail="the tensors are stored big-endian"))
        elif order != b"little":
            problems.append(Problem(code="zip-malformed", detail=f"unknown byte order {order[:20]!r}"))
    outside = [item.name for item in layout.members if not item.name.startswith(root)]
    if outside:
        detail = f"{len(outside)} members lie outside the archive's folder {root[:100]!r}"
        problems.append(Problem(code="zip-unexpected-member", detail=detail, member=outside[0][:200]))
    return problems


def _tensors(program: Program | None, layout: Layout, root: str, limits: ReaderLimits) -> Collection:
    prefix = f"{root}data/"
    storages = {
        member.name.removeprefix(prefix): member
        for member in layout.members
        if member.name.startswith(prefix)
    }
    if program is None or not program.complete:
        return Collection(storages, limits)
    collection = collect(program.result, storages, limits)
    unused = sorted(storages.keys() - collection.storages.keys())
    if unused and not collection.extra_count:
        detail = f"{len(unused)} storages belong to no tensor"
        collection.problem("extra-objects", detail, unused[0])
    return collection


def _other_pickles(
    file: BinaryIO, layout: Layout, root: str, limits: ReaderLimits
) -> tuple[tuple[PickleFacts, ...], list[Problem]]:
    """Members that no checkpoint has: noted, and interpreted where they look like pickles."""
    pickles: list[PickleFacts] = []
    problems: list[Problem] = []
    left = limits.max_pickle_bytes
    for member in layout.members:
        inner = member.name.removeprefix(root)
        if root and (inner in _PLAIN or inner.startswith(("data/", "code/")) or not member.size):
            continue
        if root and not _script_part(inner):
            problems.append(
                Problem(code="zip-unexpected-member", detail="no checkpoint has it", member=member.name[:200])
            )
        program, read = _as_pickle(file, member, limits, left)
        left -= read
        if left <= 0 or len(pickles) >= limits.max_pickles:
            detail = "more pickle-like members than the reader takes"
            problems.append(Problem(code="pickle-not-understood", detail=detail, member=member.name[:200]))
            break
        if program is not None:
            pickles += program.pickles
            problems += program.problems
    return tuple(pickles), problems[: limits.max_problems]


def _script_part(inner: str) -> bool:
    return inner in ("constants.pkl", "attributes.pkl") or inner.startswith(("constants/", "extra/"))


def _as_pickle(file: BinaryIO, member: Member, limits: ReaderLimits, left: int) -> tuple[Program | None, int]:
    """A member's program, where it has a pickle's name or marker or does something when read as one.

    Also returns how many bytes were read. A first look at the member's start spares reading large ones.
    """
    if not member.stored or not member.size:
        return None, 0
    file.seek(member.offset)
    data = file.read(min(member.size, _GLANCE))
    program = interpret(data, limits, member=member.name[:200])
    marked = member.name.endswith((".pkl", ".pickle")) or (data[:1] == b"\x80" and data[1:2] <= b"\x05")
    goes_on = member.size > len(data) and (program.calls or program.end >= len(data) - _SLACK)
    if goes_on or (marked and member.size > len(data)):
        file.seek(member.offset)
        data = file.read(min(member.size, left))
        program = interpret(data, limits, member=member.name[:200])
    return (program if marked or program.calls else None), len(data)
