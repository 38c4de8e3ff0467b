"""What the bytes of a tensor mean, on a torch device: patterns, values, position classes, octaves.

Integers are 64 bits wide and signed there, so that every device knows them; products wrap round.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from registry_gate.weights.kernels import LOWEST, OCTAVES
from registry_gate.weights.number_kinds import values

if TYPE_CHECKING:
    import torch

# The multipliers of :func:`registry_gate.weights.kernels.classes` as signed numbers.
_FIRST, _SECOND = 0x9E3779B97F4A7C15 - (1 << 64), 0xBF58476D1CE4E5B9 - (1 << 64)
_GROUP = 32


def patterns(data: torch.Tensor, itemsize: int) -> torch.Tensor:
    """The bit patterns of 1, 2 or 4-byte elements, (n,) int64, not negative."""
    import torch

    if itemsize == 1:
        return data.to(torch.int64)
    kind, mask = (torch.int16, 0xFFFF) if itemsize == 2 else (torch.int32, 0xFFFFFFFF)
    return data.view(kind).to(torch.int64) & mask


def classes(start: int, like: torch.Tensor) -> torch.Tensor:
    """The position classes of the elements from index ``start`` on, (n,) int64: one hash a group of 32."""
    import torch

    first, last = start // _GROUP, (start + like.numel() - 1) // _GROUP
    mixed = (torch.arange(first, last + 1, device=like.device) + 1) * _FIRST
    mixed = (mixed ^ _shifted(mixed, 32)) * _SECOND
    mixed = mixed ^ _shifted(mixed, 29)
    shift = torch.arange(0, 2 * _GROUP, 2, device=like.device)
    found = (mixed[:, None] >> shift[None, :]) & 3  # the mask takes off what the sign's shift brings in
    return found.reshape(-1)[start % _GROUP :][: like.numel()]


def _shifted(mixed: torch.Tensor, by: int) -> torch.Tensor:
    """A shift to the right that brings in zeros."""
    return (mixed >> by) & ((1 << (64 - by)) - 1)


def real(data: torch.Tensor, dtype: str) -> torch.Tensor:
    """The values of float kinds, (n,) float64."""
    import torch

    kinds = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
    if dtype in kinds:
        return data.view(kinds[dtype]).to(torch.float64)
    return _table(dtype, data.device)[data.to(torch.int64)]


@cache
def _table(dtype: str, device: torch.device) -> torch.Tensor:
    import torch

    return torch.tensor(values(dtype), device=device)


def wide(data: torch.Tensor, dtype: str) -> torch.Tensor:
    """The values of 32 and 64-bit kinds, (n,) float64; the magnitude of complex ones."""
    import torch

    if dtype == "C64":
        parts = data.view(torch.float32).to(torch.float64).reshape(-1, 2)
        return _magnitude(parts[:, 0], parts[:, 1])
    if dtype == "U32":
        return patterns(data, 4).to(torch.float64)
    if dtype == "U64":  # both halves are exact, so that one rounding is left: that of the sum
        found = data.view(torch.int64)
        return _shifted(found, 32).to(torch.float64) * 2.0**32 + (found & 0xFFFFFFFF).to(torch.float64)
    kinds = {"F32": torch.float32, "F64": torch.float64, "I32": torch.int32, "I64": torch.int64}
    return data.view(kinds[dtype]).to(torch.float64)


def _magnitude(real_part: torch.Tensor, imaginary: torch.Tensor) -> torch.Tensor:
    """As numpy has it: infinite where one part is, whatever the other."""
    import torch

    infinite = torch.isinf(real_part) | torch.isinf(imaginary)
    return torch.where(infinite, torch.inf, torch.hypot(real_part, imaginary))


def octaves(kept: torch.Tensor) -> torch.Tensor:
    """How many values, not zero, are negative and positive in each octave: (2 * OCTAVES,) float64."""
    import torch

    exponent = (kept.view(torch.int64) >> 52) & 0x7FF
    octave = (exponent - (1023 + LOWEST)).clamp(0, OCTAVES - 1)
    place = torch.where(kept == 0, 2 * OCTAVES, octave + OCTAVES * (kept > 0))
    counts = torch.zeros(2 * OCTAVES + 1, dtype=torch.int64, device=kept.device)
    counts.scatter_add_(0, place, torch.ones(1, dtype=torch.int64, device=kept.device).expand_as(place))
    return counts[:-1].to(torch.float64)


def low_bytes(data: torch.Tensor, dtype: str, block: int) -> torch.Tensor | None:
    """How often each lowest byte is in each block of so many elements, (blocks, 256); floats only."""
    import torch

    itemsize = {"F32": 4, "F64": 8}.get(dtype)
    if itemsize is None:
        return None
    lowest = data[::itemsize].to(torch.int64)
    blocks = -(-lowest.numel() // block)
    place = torch.arange(lowest.numel(), device=data.device) // block * 256 + lowest
    counts = torch.zeros(blocks * 256, dtype=torch.int64, device=data.device)
    counts.scatter_add_(0, place, torch.ones(1, dtype=torch.int64, device=data.device).expand_as(place))
    return counts.reshape(blocks, 256)
