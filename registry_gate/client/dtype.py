"""The type that floating tensors are converted to while they load; nothing else is ever converted."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from registry_gate.errors import UsageError

if TYPE_CHECKING:
    import torch

DType: TypeAlias = "str | torch.dtype"
"""A torch dtype or its name: ``"bfloat16"``."""

_FLOATING = ("float16", "bfloat16", "float32", "float64")


def check_dtype(dtype: DType) -> str:
    """The name of a floating type of at least 16 bits, without importing torch.

    Raises:
        UsageError: ``bad-dtype``: an integer, boolean, complex or 8-bit type, or no type at all.
    """
    name = str(dtype).removeprefix("torch.")
    if name not in _FLOATING:
        raise UsageError(
            "bad-dtype",
            f"dtype={name[:100]!r} is not one of {', '.join(_FLOATING)}",
            why="other types would change what integers, flags or scaled weights mean",
        )
    return name


def floating(dtype: DType) -> torch.dtype:
    """The torch dtype of a name that :func:`check_dtype` accepts."""
    import torch

    found: torch.dtype = getattr(torch, check_dtype(dtype))
    return found


def converted(name: str, tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    """A floating tensor as ``dtype``; integers, booleans and complex numbers as they are.

    Raises:
        UsageError: ``bad-dtype``: an 8-bit float, whose meaning lies in a scale kept elsewhere.
    """
    if dtype is None or not tensor.dtype.is_floating_point:
        return tensor
    if tensor.dtype.itemsize < 2:
        raise UsageError(
            "bad-dtype",
            f"tensor {name[:100]!r} is {tensor.dtype}, which only means something together with its scale",
            todo="load it without dtype=",
        )
    return tensor.to(dtype)
