"""What a staged safetensors file will look like: the plan checked, the header written, every byte's place."""

from __future__ import annotations

import json
from dataclasses import dataclass

from registry_gate.errors import Refused
from registry_gate.evidence import CopyPlan, TensorSource
from registry_gate.layout import ITEMSIZE, extent, is_contiguous, sound_shape, tensor_bytes

MAX_HEADER = 100_000_000  # the format's own limit
MAX_TENSORS = 200_000
MAX_GROWTH = 4
_MAX_NAME = 1024


@dataclass(frozen=True)
class Placement:
    """One tensor and the byte of the target file where it begins."""

    tensor: TensorSource
    begin: int

    @property
    def end(self) -> int:
        """The byte after its last."""
        return self.begin + self.tensor.nbytes


@dataclass(frozen=True)
class Layout:
    """A target file: its header (length and padding included), its tensors in order, its size in bytes.

    ``sequential`` says that a walk through the source meets the tensors in the target's order, each once, and
    that their bytes are already those of the target.
    """

    header: bytes
    placements: tuple[Placement, ...]
    size: int
    sequential: bool


def lay_out(plan: CopyPlan, source_size: int) -> Layout:
    """Check a plan against its source and place its tensors.

    Tensors keep the order of the source where each then lies at a multiple of its element size, which loaders
    need; else they are sorted by element size, large first, as the safetensors library does.

    Args:
        plan: from :func:`registry_gate.weights.selection.select_weights`; hostile all the same.
        source_size: bytes of the source file.

    Raises:
        Refused: ``bad-copy-plan``.
    """
    _check(plan, source_size)
    by_source = sorted(plan.tensors, key=lambda tensor: (tensor.offset, tensor.name))
    order = by_source
    if not _aligned(by_source):
        order = sorted(by_source, key=lambda tensor: -ITEMSIZE[tensor.dtype])
    header = _header(order, plan.metadata)
    placements = _place(order, len(header))
    return Layout(
        header=header,
        placements=placements,
        size=len(header) + sum(tensor.nbytes for tensor in order),
        sequential=order is by_source and all(map(is_plain, by_source)) and _disjoint(by_source),
    )


def is_plain(tensor: TensorSource) -> bool:
    """True when a tensor's bytes in its source are those of a safetensors file: C order, little-endian."""
    in_order = tensor.byteorder == "little" or ITEMSIZE[tensor.dtype] == 1
    return not tensor.nbytes or (in_order and is_contiguous(tensor.shape, tensor.stride))


def bad_plan(what: str) -> Refused:
    """The refusal of a plan that does not fit its source."""
    return Refused(
        "bad-copy-plan",
        what,
        why="a copy plan comes from a reader of hostile bytes; one that does not add up is an attack "
        "or a reader that failed",
        todo="do not use the file; report it with its digest",
    )


def _check(plan: CopyPlan, source_size: int) -> None:
    names = [tensor.name for tensor in plan.tensors]
    shown = repr(plan.source[:200])
    if not names or len(names) > MAX_TENSORS:
        raise bad_plan(f"the plan for {shown} has {len(names)} tensors")
    if len(set(names)) != len(names):
        raise bad_plan(f"the plan for {shown} names a tensor twice")
    for tensor in plan.tensors:
        fault = _fault(tensor, source_size)
        if fault:
            raise bad_plan(f"tensor {tensor.name[:200]!r} of {shown} {fault}")
    if sum(tensor.nbytes for tensor in plan.tensors) > MAX_GROWTH * source_size:
        raise bad_plan(f"the plan for {shown} would write more than {MAX_GROWTH} times what it reads")


def _fault(tensor: TensorSource, source_size: int) -> str:
    if not 0 < len(tensor.name) <= _MAX_NAME or tensor.name == "__metadata__":
        return "has a name that no safetensors file can hold"
    if tensor.dtype not in ITEMSIZE or tensor.byteorder not in ("little", "big"):
        return "is of a kind or byte order that cannot be staged"
    if not sound_shape(tensor.shape) or tensor.nbytes != tensor_bytes(tensor.dtype, tensor.shape):
        return "has a byte count that is not that of its dtype and shape"
    if tensor.stride is not None and not _sound_stride(tensor.shape, tensor.stride):
        return "has a stride that does not go with its shape"
    if tensor.offset + extent(tensor.dtype, tensor.shape, tensor.stride) > source_size:
        return "reaches outside the file"
    return ""


def _sound_stride(shape: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    return len(stride) == len(shape) and sound_shape(stride)


def _aligned(tensors: list[TensorSource]) -> bool:
    offset = 0
    for tensor in tensors:
        if offset % ITEMSIZE[tensor.dtype]:
            return False
        offset += tensor.nbytes
    return True


def _disjoint(tensors: list[TensorSource]) -> bool:
    end = 0
    for tensor in tensors:
        if tensor.nbytes and tensor.offset < end:
            return False
        end = max(end, tensor.offset + tensor.nbytes)
    return True


def _header(tensors: list[TensorSource], metadata: dict[str, str]) -> bytes:
    """The 8-byte length and the JSON, padded with spaces so that the data begins at a multiple of 8."""
    entries: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    offset = 0
    for tensor in tensors:
        end = offset + tensor.nbytes
        entries[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    try:
        text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise bad_plan("a tensor's name is not Unicode text") from None
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise bad_plan(f"the header would be longer than {MAX_HEADER} bytes")
    return len(text).to_bytes(8, "little") + text


def _place(tensors: list[TensorSource], begin: int) -> tuple[Placement, ...]:
    placements = []
    for tensor in tensors:
        placements.append(Placement(tensor, begin))
        begin += tensor.nbytes
    return tuple(placements)
