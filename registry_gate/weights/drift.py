"""What changed between two fingerprints, with the noise of fine-tuning told from edits.

Each measure has its own scale, so that no threshold depends on how large weights happen to be. ``r`` is the
root mean square of the reference and ``e`` the noise tolerated, a part of ``r``: 0.001, and what rounding to
the tensor's kind makes of it (``sqrt(e^2 + e * u)`` for a relative spacing ``u`` of the kind's values).

- location: the mean moved by more than ``4 e r``.
- scale: the root mean square changed by more than ``4 e``, relative.
- extremes: the smallest or largest value moved by more than ``8 e`` of the largest magnitude: one planted
  value beyond the others shows here, however many there are.
- sketch: one of three sums in which signs follow from the elements' places changed by more than
  ``6 e r sqrt(n)``. Noise, being independent of place, stays below; a shuffle changes them by about
  ``std sqrt(2 n)``, and a planted value by its own size.
- histogram: Kullback-Leibler divergence over fixed octaves, counts smoothed by one half. Edges that do not
  depend on the tensor keep one outlier from moving all bins.
- counts of NaN and infinities, which are compared exactly.

A planted value inside the tensor's own range shows only in the sketch, where it exceeds ``6 e r sqrt(n)``:
noise of that size on every element hides it. Shuffles of equal or very few elements may also go unseen.
"""

from __future__ import annotations

import math

from registry_gate.record import Record
from registry_gate.weights.fingerprint import Fingerprint, TensorPrint

NOISE = 1e-3
_MEAN, _SCALE, _EXTREME, _SKETCH = 4.0, 4.0, 8.0, 6.0
_KL, _KL_SMALL = 0.02, 4.0
_TINY = 1e-30
# Relative distance of neighbouring values.
_SPACING = {
    "F64": 2.0**-52,
    "C64": 2.0**-23,
    "F32": 2.0**-23,
    "F16": 2.0**-10,
    "BF16": 2.0**-7,
    "F8_E4M3": 2.0**-3,
    "F8_E4M3FNUZ": 2.0**-3,
    "F8_E5M2": 2.0**-2,
    "F8_E5M2FNUZ": 2.0**-2,
    "F8_E8M0": 1.0,
}


class Drift(Record):
    """One measure of one tensor beyond what noise explains. ``kind`` is one of :data:`KINDS`."""

    tensor: str
    kind: str
    value: float
    limit: float
    detail: str


KINDS = (
    "added",
    "removed",
    "shape",
    "dtype",
    "non-finite",
    "location",
    "scale",
    "extreme",
    "sketch",
    "histogram",
)


def drift(reference: Fingerprint, found: Fingerprint) -> tuple[Drift, ...]:
    """Compare tensor by tensor; empty where nothing is beyond noise.

    Args:
        reference: of the earlier model.
        found: of the later one.
    """
    before = {tensor.name: tensor for tensor in reference.tensors}
    after = {tensor.name: tensor for tensor in found.tensors}
    changes = [_missing("removed", name) for name in sorted(before.keys() - after.keys())]
    changes += [_missing("added", name) for name in sorted(after.keys() - before.keys())]
    for name in sorted(before.keys() & after.keys()):
        changes += _compared(before[name], after[name])
    return tuple(changes)


def _missing(kind: str, name: str) -> Drift:
    return Drift(tensor=name, kind=kind, value=1.0, limit=0.0, detail=f"the tensor was {kind}")


def _compared(before: TensorPrint, after: TensorPrint) -> list[Drift]:
    name = before.name
    if before.has_bytes_of(after) and (before.dtype, before.shape) == (after.dtype, after.shape):
        return []
    if before.shape != after.shape:
        return [_one(name, "shape", 1.0, 0.0, f"{before.shape[:8]} became {after.shape[:8]}")]
    found = []
    if before.dtype != after.dtype:
        found.append(_one(name, "dtype", 1.0, 0.0, f"{before.dtype[:20]} became {after.dtype[:20]}"))
    spoilt, was = after.nan + after.inf, before.nan + before.inf
    if (before.nan, before.inf) != (after.nan, after.inf):
        detail = f"{was} values that are not finite became {spoilt}"
        found.append(_one(name, "non-finite", abs(spoilt - was) or 1.0, 0.0, detail))
    return found + [item for item in _measures(before, after) if not item.value <= item.limit]


def _measures(before: TensorPrint, after: TensorPrint) -> list[Drift]:
    """Every measure with its limit, met or not."""
    name, noise, finite = before.name, _noise(before, after), before.elements - before.nan - before.inf
    root, now = _root(before), _root(after)
    if root is None or now is None or before.mean is None or after.mean is None:
        same = (before.minimum, before.maximum) == (after.minimum, after.maximum)
        return [] if same else [_one(name, "extreme", 1.0, 0.0, "its values can no longer be compared")]
    unit = max(root, _TINY)
    moved = _distance(before.mean, after.mean) / unit
    stretched = abs(now / unit - 1) if root else _distance(root, now) / unit
    largest = max(abs(before.minimum or 0.0), abs(before.maximum or 0.0), _TINY)
    reached = max(
        _distance(before.minimum or 0.0, after.minimum or 0.0),
        _distance(before.maximum or 0.0, after.maximum or 0.0),
    )
    found = [
        _one(name, "location", moved, _MEAN * noise, "the mean moved, in root mean squares"),
        _one(name, "scale", stretched, _SCALE * noise, "the root mean square changed, relative"),
        _one(name, "extreme", reached / largest, _EXTREME * noise, "the extremes moved, relative"),
    ]
    if len(before.sketch) == len(after.sketch) == 3:
        apart = max(_distance(a, b) for a, b in zip(before.sketch, after.sketch, strict=True))
        value = apart / (unit * math.sqrt(max(finite, 1)))
        found.append(
            _one(name, "sketch", value, _SKETCH * noise, "values changed places, or single ones changed")
        )
    limit = _KL + _KL_SMALL / max(finite, 1)
    kl = divergence(before, after)
    return [*found, _one(name, "histogram", kl, limit, "the histogram of magnitudes changed (KL)")]


def divergence(before: TensorPrint, after: TensorPrint) -> float:
    """KL(after || before) in nats over the octaves of either, sign by sign, and zero."""
    old, new = _bins(before), _bins(after)
    keys = old.keys() | new.keys()
    total_old = sum(old.values()) + 0.5 * len(keys)
    total_new = sum(new.values()) + 0.5 * len(keys)
    return sum(
        p * math.log(p / q)
        for key in keys
        for p, q in [((new.get(key, 0) + 0.5) / total_new, (old.get(key, 0) + 0.5) / total_old)]
    )


def _bins(tensor: TensorPrint) -> dict[tuple[int, int], int]:
    found = {(0, 0): tensor.zeros}
    for octave, negative, positive in tensor.histogram:
        found[octave, -1], found[octave, 1] = negative, positive
    return found


def _noise(before: TensorPrint, after: TensorPrint) -> float:
    spacing = max(_SPACING.get(before.dtype, 0.0), _SPACING.get(after.dtype, 0.0))
    return math.sqrt(NOISE * NOISE + NOISE * spacing)


def _root(tensor: TensorPrint) -> float | None:
    if tensor.mean is None or tensor.std is None:
        return None
    return math.hypot(tensor.mean, tensor.std)


def _distance(first: float, second: float) -> float:
    away = abs(first - second)
    return away if math.isfinite(away) else 1e300


def _one(name: str, kind: str, value: float, limit: float, detail: str) -> Drift:
    return Drift(tensor=name, kind=kind, value=min(value, 1e300), limit=limit, detail=detail)
