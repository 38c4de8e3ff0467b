"""What every bit pattern of the 8 and 16-bit kinds means, as a table of float64 values.

Sources: IEEE 754 half precision; bfloat16 as the upper half of binary32; FP8 after Micikevicius et al. 2022
(arXiv:2209.05433) and its FNUZ forms after Noune et al. 2022 (arXiv:2206.02915); E8M0 after the OCP
microscaling formats, version 1.0.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@cache
def values(dtype: str) -> Values:
    """The value of each bit pattern, in order: 256 or 65536 of them. KeyError for wider kinds."""
    table = _TABLES[dtype]()
    table.setflags(write=False)
    return table


def _integers(kind: str, bits: int) -> Values:
    patterns = np.arange(1 << bits, dtype=f"<u{bits // 8}")
    with np.errstate(invalid="ignore"):
        table: Values = patterns.view(kind).astype(np.float64)
    return table


def _bool() -> Values:
    return np.asarray(np.arange(256) != 0, dtype=np.float64)


def _bfloat16() -> Values:
    upper_halves = np.arange(1 << 16, dtype=np.uint32) << np.uint32(16)
    with np.errstate(invalid="ignore"):  # signalling NaN are among the patterns
        table: Values = upper_halves.view(np.float32).astype(np.float64)
    return table


def _float8(exponent_bits: int, bias: int) -> Values:
    """All patterns as sign, exponent, fraction, without special values. Subnormals have exponent zero."""
    patterns = np.arange(256)
    fraction_bits = 7 - exponent_bits
    exponent = (patterns & 0x7F) >> fraction_bits
    fraction = (patterns & ((1 << fraction_bits) - 1)) / (1 << fraction_bits)
    magnitude = np.where(
        exponent == 0, fraction * 2.0 ** (1 - bias), (1 + fraction) * 2.0 ** (exponent - bias)
    )
    return np.where(patterns < 128, magnitude, -magnitude).astype(np.float64)


def _e4m3() -> Values:
    table = _float8(4, 7)
    table[[0x7F, 0xFF]] = np.nan
    return table


def _e5m2() -> Values:
    table = _float8(5, 15)
    table[[0x7C, 0xFC]] = np.inf, -np.inf
    table[[0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF]] = np.nan
    return table


def _fnuz(exponent_bits: int, bias: int) -> Values:
    table = _float8(exponent_bits, bias)
    table[0x80] = np.nan
    return table


def _e8m0() -> Values:
    table = np.exp2(np.arange(256, dtype=np.float64) - 127.0)
    table[0xFF] = np.nan
    return table


_TABLES = {
    "BOOL": _bool,
    "U8": lambda: _integers("<u1", 8),
    "I8": lambda: _integers("<i1", 8),
    "F8_E4M3": _e4m3,
    "F8_E5M2": _e5m2,
    "F8_E4M3FNUZ": lambda: _fnuz(4, 8),
    "F8_E5M2FNUZ": lambda: _fnuz(5, 16),
    "F8_E8M0": _e8m0,
    "U16": lambda: _integers("<u2", 16),
    "I16": lambda: _integers("<i2", 16),
    "F16": lambda: _integers("<f2", 16),
    "BF16": _bfloat16,
}
NARROW = frozenset(_TABLES)
"""The kinds small enough for an exact histogram of their bit patterns."""
