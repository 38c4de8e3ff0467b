"""Read zip files: torch checkpoints to their tensors; TorchScript, NumPy and other archives by name only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from registry_gate.evidence import FileFacts, FileFormat, Problem
from registry_gate.formats.contents import (
    Contents,
    look_into_member,
    look_into_zip,
    member_bytes,
    member_window,
)
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.numpy_file import look_into_array
from registry_gate.formats.opcodes import Malformed
from registry_gate.formats.pickle_program import Program, interpret
from registry_gate.formats.recognised import keras_code, note
from registry_gate.formats.torch_tensors import BLOCKING, Collection, collect
from registry_gate.formats.zip_layout import Layout, read_layout, read_member

_SMALL = 4096
_KERAS_CONFIG = 16 * 1024 * 1024
_PLAIN = frozenset(
    {"version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id", "data.pkl"}
)


def read_zip(path: Path, relative: str, limits: ReaderLimits) -> FileFacts:
    """Describe a zip file: a torch checkpoint in full, NumPy's and Keras's, anything else by its contents.

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
        if format_ is FileFormat.NUMPY:
            return _arrays(file, relative, layout, limits)
        contents = Contents.of(limits)
        look_into_zip(contents, file, path.stat().st_size, "", 0)
        return FileFacts(
            path=relative,
            format=format_,
            reader="zip",
            understood=False,
            problems=(*_kinds_note(file, layout), *contents.problems)[: limits.max_problems],
            pickles=tuple(contents.pickles),
        )


def _kinds_note(file: BinaryIO, layout: Layout) -> list[Problem]:
    """What kind of archive it is; a Keras archive's configuration is searched for code."""
    names = {member.name for member in layout.members}
    if not {"config.json", "metadata.json"} <= names:
        return [note("zip")]
    problems = [note("keras")]
    config = layout.member("config.json")
    if config is not None and config.size <= _KERAS_CONFIG:
        data = member_bytes(file, config, _KERAS_CONFIG)
        code = keras_code(data)
        if code:
            problems.append(Problem(code="custom-code", detail=code, member=config.name))
    return problems


def _arrays(file: BinaryIO, relative: str, layout: Layout, limits: ReaderLimits) -> FileFacts:
    """An ``.npz``: every member is an array, stored or deflated."""
    contents = Contents.of(limits)
    sound = True
    for member in layout.members:
        data = member_window(contents, file, member)
        sound = look_into_array(contents, data, member.size, member.name) and sound
    serious = _serious(layout)
    words = Problem(
        code="other-weights-left-behind", detail="a NumPy archive; save the weights as safetensors"
    )
    return FileFacts(
        path=relative,
        format=FileFormat.NUMPY,
        reader="numpy",
        understood=sound and not serious,
        problems=(words, *serious, *contents.problems)[: limits.max_problems],
        pickles=tuple(contents.pickles),
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
    program, byteorder = None, "little"
    try:
        program = _program(file, layout, root, limits)
        byteorder = _order(file, layout, root)
        problems += [*program.problems, *_around(layout, root, byteorder)]
    except Malformed as stop:
        problems.append(Problem(code="zip-malformed", detail=stop.detail, offset=stop.offset))
    contents = _other_members(file, layout, root, limits)
    others = contents.problems
    size = file.seek(0, os.SEEK_END)
    collection = Collection({}, limits, size)
    if checkpoint and program is not None and program.complete:
        collection = _tensors(program, layout, root, Collection({}, limits, size, byteorder))
    if not checkpoint:
        others.append(note("torchscript-ot" if relative.endswith(".ot") else "torchscript"))
    elif program is not None and not collection.tensors:
        others.append(Problem(code="no-tensors", detail="no tensor was found in the checkpoint"))
    return FileFacts(
        path=relative,
        format=format_,
        reader="torch-zip",
        understood=checkpoint
        and program is not None
        and program.complete
        and not any(item.code in BLOCKING for item in (*problems, *collection.problems)),
        problems=(*problems, *others, *collection.problems)[: limits.max_problems],
        pickles=(*(program.pickles if program else ()), *contents.pickles),
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


def _order(file: BinaryIO, layout: Layout, root: str) -> str:
    """The byte order that a checkpoint states; those of torch before 2.1 state none and are little."""
    member = layout.member(f"{root}byteorder")
    if member is None:
        return "little"
    order = read_member(file, member, _SMALL)
    if order not in (b"little", b"big"):
        raise Malformed(member.offset, f"unknown byte order {order[:20]!r}")
    return order.decode("ascii")


def _around(layout: Layout, root: str, byteorder: str) -> list[Problem]:
    """A note on the byte order; members under a second root are seen by some readers only."""
    problems = []
    if byteorder == "big":
        problems.append(Problem(code="big-endian", detail="the tensors are stored big-endian"))
    outside = [item.name for item in layout.members if not item.name.startswith(root)]
    if outside:
        detail = f"{len(outside)} members lie outside the archive's folder {root[:100]!r}"
        problems.append(Problem(code="zip-unexpected-member", detail=detail, member=outside[0][:200]))
    return problems


def _tensors(program: Program, layout: Layout, root: str, empty: Collection) -> Collection:
    prefix = f"{root}data/"
    storages = {
        member.name.removeprefix(prefix): member
        for member in layout.members
        if member.name.startswith(prefix)
    }
    collection = collect(program.result, storages, empty.limits, empty.size, empty.byteorder)
    unused = sorted(storages.keys() - collection.storages.keys())
    refused = any(item.code == "tensor-not-convertible" for item in collection.problems)
    if unused and not collection.extra_count and not refused:
        detail = f"{len(unused)} storages belong to no tensor"
        collection.problem("extra-objects", detail, unused[0])
    return collection


def _other_members(file: BinaryIO, layout: Layout, root: str, limits: ReaderLimits) -> Contents:
    """Members that no checkpoint has: noted, and looked into."""
    contents = Contents.of(limits)
    for member in layout.members:
        inner = member.name.removeprefix(root)
        if inner in _PLAIN or inner.startswith(("data/", "code/")) or not member.size:
            continue
        if not _script_part(inner):
            contents.problem("zip-unexpected-member", "no checkpoint has it", member.name)
        if contents.left <= 0:
            break
        look_into_member(contents, file, member, "", 0)
    return contents


def _script_part(inner: str) -> bool:
    return inner in ("constants.pkl", "attributes.pkl") or inner.startswith(("constants/", "extra/"))
