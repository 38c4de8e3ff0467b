"""Measurements as geometry: what a page draws, in its own coordinates, without any of a candidate's text.

Each plot is WIDTH units wide; y grows downwards, as in SVG.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from registry_gate.evidence import BehaviourMeasurement
from registry_gate.report.document import WeightsSection

WIDTH = 720.0
HEIGHT = 160.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 12.0, 24.0
_FLOOR = _TOP + HEIGHT


@dataclass(frozen=True)
class Bar:
    """A bar, or a dot where it has no height; ``told`` is said when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    told: str
    marked: bool = False


@dataclass(frozen=True)
class Tick:
    """A number beside an axis, at x or y."""

    at: float
    text: str


@dataclass(frozen=True)
class Plot:
    """One picture. ``lines`` are upright at x, with a word; ``rows`` name what lies at a height."""

    title: str
    caption: str
    bars: tuple[Bar, ...] = ()
    dots: tuple[Bar, ...] = ()
    x_ticks: tuple[Tick, ...] = ()
    y_ticks: tuple[Tick, ...] = ()
    lines: tuple[Tick, ...] = ()
    rows: tuple[Tick, ...] = ()
    height: float = HEIGHT + _TOP + _BOTTOM
    width: float = WIDTH
    floor: float = _FLOOR
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP


def of_behaviour(test: BehaviourMeasurement) -> tuple[Plot, ...]:
    """One bar a class and one dot an input, as far as a test measured them."""
    found = []
    if len(test.per_class) > 1:
        found.append(_per_class(test))
    if any(test.samples.values()):
        found.append(_samples(test))
    return tuple(found)


def of_weights(weights: WeightsSection) -> tuple[Plot, ...]:
    """How large the weights are: all elements by octave, then each tensor's largest."""
    found = []
    if weights.octaves:
        found.append(_octaves(weights.octaves))
    known = [(item.name, item.magnitude) for item in weights.tensors if item.magnitude is not None]
    if len(known) > 1:
        found.append(_magnitudes([value for _, value in known]))
    return tuple(found)


def _per_class(test: BehaviourMeasurement) -> Plot:
    what, why = _PER_CLASS.get(test.test, ("Statistic of each class", "One bar a class."))
    told = [f"class {index}: {value:.4g}" for index, value in enumerate(test.per_class)]
    bars, y_ticks = _bars(test.per_class, told, marked={test.suspected_target})
    return Plot(what, why, bars=bars, x_ticks=_numbered(bars), y_ticks=y_ticks)


_PER_CLASS = {
    "mm-bd": (
        "Largest margin of each class",
        "A backdoor's target reaches a margin that no other class reaches. The red bar is the largest.",
    ),
    "bounded-pattern": (
        "Smallest pattern that turns images into each class",
        "A backdoor's target needs far less than the others. The red bar is the smallest.",
    ),
}


def _samples(test: BehaviourMeasurement) -> Plot:
    """A row of dots a kind of input along one axis, with the boundary where there is one."""
    boundary = test.details.get("entropy_boundary_bits")
    edge = [float(boundary)] if isinstance(boundary, int | float) else []
    values = [value for row in test.samples.values() for value in row]
    low, high = min([0.0, *values, *edge]), max([*values, *edge])
    place = _scale(low, high, _LEFT, WIDTH - _RIGHT)
    rows, dots = [], []
    for number, (kind, row) in enumerate(test.samples.items()):
        y = _TOP + 24.0 + 40.0 * number
        rows.append(Tick(y - 14.0, f"{kind} ({len(row)})"))
        dots += [Bar(place(value), y, 0.0, 0.0, f"{value:.3f}") for value in row]
    floor = _TOP + 40.0 * len(test.samples) + 4.0
    return Plot(
        "Entropy of each overlaid input, in bits",
        "Inputs to the left of the boundary keep their answer whatever is laid over them, as triggers do.",
        dots=tuple(dots),
        rows=tuple(rows),
        lines=tuple(Tick(place(value), f"boundary {value:.3g}") for value in edge),
        x_ticks=tuple(Tick(place(value), f"{value:.3g}") for value in _round_numbers(low, high)),
        height=floor + _BOTTOM,
        floor=floor,
    )


def _octaves(octaves: Sequence[tuple[int, int]]) -> Plot:
    """All elements by their magnitude's power of two; heights are logarithms, so that a single one shows."""
    first, last = octaves[0][0], octaves[-1][0]
    counts = dict(octaves)
    heights = [math.log10(1 + counts.get(octave, 0)) for octave in range(first, last + 1)]
    told = [
        f"2^{octave} to 2^{octave + 1}: {counts.get(octave, 0):,} elements"
        for octave in range(first, last + 1)
    ]
    bars, _ = _bars(heights, told)
    step = max(1, len(bars) // 10)
    ticks = tuple(
        Tick(bar.x + bar.width / 2, f"2^{first + index}")
        for index, bar in enumerate(bars)
        if index % step == 0
    )
    top = max(heights)
    at = _scale(0.0, top, _FLOOR, _TOP)
    powers = range(int(top) + 1)
    y_ticks = tuple(Tick(at(math.log10(1 + 10**power)), _count(10**power)) for power in powers)
    return Plot(
        "Magnitudes of all weights",
        "Elements by power of two, counted on a logarithmic scale. A bar far to the right of the others is "
        "a handful of weights much larger than the rest.",
        bars=bars,
        x_ticks=ticks,
        y_ticks=y_ticks,
    )


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**6 else f"{float(number):.0e}"


def _magnitudes(values: Sequence[float]) -> Plot:
    told = [f"tensor {number}: {value:.4g}" for number, value in enumerate(values)]
    bars, y_ticks = _bars(values, told, marked={max(range(len(values)), key=values.__getitem__)})
    return Plot(
        "Largest magnitude of each tensor",
        "In the order of the files. The red bar is the largest; its name stands in the table below.",
        bars=bars,
        x_ticks=_numbered(bars),
        y_ticks=y_ticks,
    )


def _bars(
    values: Sequence[float], told: Sequence[str], marked: Iterable[int | None] = ()
) -> tuple[tuple[Bar, ...], tuple[Tick, ...]]:
    """Bars from zero, upwards and downwards, and round numbers for the axis."""
    low, high = min(0.0, *values), max(0.0, *values)
    at = _scale(low, high, _FLOOR, _TOP)
    room = (WIDTH - _LEFT - _RIGHT) / len(values)
    chosen = set(marked)
    bars = tuple(
        Bar(
            x=_LEFT + room * index + room * 0.1,
            y=min(at(value), at(0.0)),
            width=room * 0.8,
            height=max(1.0, abs(at(value) - at(0.0))),
            told=told[index],
            marked=index in chosen,
        )
        for index, value in enumerate(values)
    )
    return bars, tuple(Tick(at(value), f"{value:.3g}") for value in _round_numbers(low, high))


def _numbered(bars: Sequence[Bar]) -> tuple[Tick, ...]:
    step = max(1, math.ceil(len(bars) / 20))
    return tuple(
        Tick(bar.x + bar.width / 2, str(index)) for index, bar in enumerate(bars) if index % step == 0
    )


def _scale(low: float, high: float, start: float, stop: float) -> Callable[[float], float]:
    """From values to coordinates; a span of nothing, or beyond numbers, lies at the start."""
    span = high - low

    def place(value: float) -> float:
        share = (value - low) / span if span > 0 and math.isfinite(span) else 0.0
        return start + share * (stop - start)

    return place


def _round_numbers(low: float, high: float, wanted: int = 4) -> list[float]:
    """A few round numbers from low to high."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    unit = 10.0 ** math.floor(math.log10(span / wanted))
    step = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= wanted)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)][: 2 * wanted]
