"""The arithmetic of tensor layouts: bytes, extents and strides of what the gate stages."""

from __future__ import annotations

import math
from collections.abc import Sequence

from registry_gate.formats.dtypes import BITS

ITEMSIZE: dict[str, int] = {dtype: bits // 8 for dtype, bits in BITS.items() if bits % 8 == 0}
"""Bytes an element. Sub-byte kinds (F4, F6) are left out: no library loads them through safetensors yet."""

MAX_RANK = 64
MAX_BYTES = 1 << 62


def sound_shape(shape: Sequence[int]) -> bool:
    """True for a shape whose size can be worked out: few, non-negative dimensions below 2**62."""
    return len(shape) <= MAX_RANK and all(0 <= size < MAX_BYTES for size in shape)


def tensor_bytes(dtype: str, shape: Sequence[int]) -> int:
    """Bytes of a contiguous tensor. Raises KeyError for a kind that is not in :data:`ITEMSIZE`."""
    return math.prod(shape) * ITEMSIZE[dtype]


def extent(dtype: str, shape: Sequence[int], stride: Sequence[int] | None) -> int:
    """Bytes from the first element of a tensor to the end of its last, in its source storage.

    Args:
        dtype: a key of :data:`ITEMSIZE`.
        shape: elements a dimension.
        stride: in elements; None for C-contiguous.
    """
    if stride is None:
        return tensor_bytes(dtype, shape)
    if 0 in shape:
        return 0
    last = sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    return (last + 1) * ITEMSIZE[dtype]


def is_contiguous(shape: Sequence[int], stride: Sequence[int] | None) -> bool:
    """True when the elements lie in C order without gaps; the stride of a dimension of size one is free."""
    if stride is None or 0 in shape:
        return True
    if len(stride) != len(shape):
        return False
    expected = 1
    for size, step in zip(reversed(shape), reversed(stride), strict=True):
        if size != 1 and step != expected:
            return False
        expected *= size
    return True
