"""Tensors as views of memory in which a safetensors file was verified: nothing is copied, nothing is opened.

The header is read by the gate's own strict reader, which lets no byte go undescribed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from registry_gate.errors import ToolError
from registry_gate.formats.dtypes import TORCH_DTYPES
from registry_gate.layout import ITEMSIZE

if TYPE_CHECKING:
    import torch

    from registry_gate.client.own_memory import OwnMemory
    from registry_gate.evidence import TensorSource

LENGTH = 8
"""Bytes in which a safetensors file begins, with the length of its header."""
_MAX_HEADER = 100_000_000  # the format's own limit
_TORCH_NAMES = {kind: name for name, kind in reversed(TORCH_DTYPES.items())}


def header_length(name: str, memory: OwnMemory) -> int:
    """Bytes of the header, its own length included, from the first eight, which must be there.

    Raises:
        ToolError: ``load-failed``: there is no such header.
    """
    length = int.from_bytes(memory.read(LENGTH, 0), "little")
    if memory.size < LENGTH or length > min(_MAX_HEADER, memory.size - LENGTH):
        raise unreadable(name, "its header is longer than the file")
    return LENGTH + length


def places(name: str, memory: OwnMemory) -> tuple[TensorSource, ...]:
    """Every tensor and its place, from a header that is there in full.

    Raises:
        ToolError: ``load-failed``: what was signed is no safetensors file.
    """
    from registry_gate.formats.limits import ReaderLimits
    from registry_gate.formats.safetensors_file import tensor_places

    header = memory.read(header_length(name, memory), 0)
    try:
        return tensor_places(header[LENGTH:], memory.size, ReaderLimits())
    except ValueError as error:
        raise unreadable(name, str(error)) from error


def views(name: str, memory: OwnMemory, wanted: Sequence[TensorSource]) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors, by name, over the memory itself; it lives as long as any of them.

    Raises:
        ToolError: ``load-failed``: a kind that torch does not know.
    """
    import torch

    whole = torch.frombuffer(memory.view, dtype=torch.uint8)
    for place in wanted:
        kind = getattr(torch, _TORCH_NAMES.get(place.dtype, ""), None)
        if not isinstance(kind, torch.dtype):
            raise unreadable(name, f"this torch has no type for {place.dtype}")
        flat = whole[place.offset : place.offset + place.nbytes]
        if place.offset % ITEMSIZE[place.dtype]:
            flat = flat.clone()  # other writers may leave tensors where no processor likes them
        yield place.name, flat.view(kind).view(place.shape)


def unreadable(name: str, detail: str) -> ToolError:
    """The error for a file that is genuine and no safetensors file."""
    return ToolError(
        "load-failed",
        f"{ascii(name)[:200]} is genuine but is no safetensors file that can be read: {detail}",
        todo='use into="directory", and report the model',
    )
