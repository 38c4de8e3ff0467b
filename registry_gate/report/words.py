"""Numbers and places in words, the same in every report for people."""

from __future__ import annotations

from registry_gate.evidence import BehaviourMeasurement
from registry_gate.finding import Location, Scalar

_MAX_MEASURED = 48


def measured(measurements: dict[str, Scalar]) -> str:
    """What fits a table; long texts (power notes, what a piece of evidence proves) are in the JSON report."""
    told = {name: _number(value) for name, value in measurements.items() if value is not None}
    return ", ".join(f"{name} {text}" for name, text in told.items() if 0 < len(text) <= _MAX_MEASURED)


def _number(value: Scalar) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def behaviour_numbers(test: BehaviourMeasurement) -> str:
    """One line: the statistic and how it stands, the seed and the device."""
    named = (
        ("statistic", test.statistic),
        ("p", test.p_value),
        ("score", test.score),
        ("threshold", test.threshold),
    )
    numbers = [f"{name} {value:.4g}" for name, value in named if value is not None]
    if test.suspected_target is not None:
        numbers.append(f"suspected class {test.suspected_target}")
    return ", ".join([*numbers, f"seed {test.seed}", f"{test.seconds:.1f} s on {test.device}"])


def place(location: Location) -> str:
    """File, then member, offset, tensor or field; empty where a finding has no place."""
    parts = [location.file or ""]
    parts += [
        f"{name} {value}"
        for name, value in location.model_dump(exclude={"file"}).items()
        if value is not None
    ]
    return ", ".join(part for part in parts if part)
