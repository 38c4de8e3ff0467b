"""Clean models of a family, and what their statistics make of another's: the only law the text test has.

In-model p-values for two classes are unsound (clean models of few classes differ by themselves), so without
references of the same family there is no verdict. The law is Gumbel's, for the statistic is a largest value;
it is fitted by moments, and its spread is never taken to be smaller than the statistic's own grain.
"""

from __future__ import annotations

import math
import statistics

from pydantic import Field

from registry_gate.record import Record

FEWEST_REFERENCES = 8
_EULER = 0.5772156649015329
_LEAST_SPREAD = 0.02

Span = tuple[int, int]


class TextFamily(Record):
    """Models that may be judged by each other: types, width, layers, classes, and clean ones' statistics.

    Spans hold the least and the largest. ``statistics`` are of clean models that nobody tampered with, as the
    test measured them.
    """

    name: str = Field(min_length=1, max_length=80)
    model_types: tuple[str, ...]
    hidden: Span
    layers: Span
    classes: Span
    vocabulary: Span
    statistics: tuple[float, ...] = Field(min_length=FEWEST_REFERENCES)

    def holds(self, model_type: str, hidden: int, layers: int, classes: int, vocabulary: int) -> bool:
        """Whether such a model belongs to the family."""
        sizes = (
            (hidden, self.hidden),
            (layers, self.layers),
            (classes, self.classes),
            (vocabulary, self.vocabulary),
        )
        return model_type in self.model_types and all(least <= size <= most for size, (least, most) in sizes)


class TextReferences(Record):
    """The families that a policy knows, and where their figures come from."""

    dated: str
    made_by: str
    families: tuple[TextFamily, ...]


def gumbel_p_value(statistic: float, references: tuple[float, ...]) -> float:
    """How often a clean model of the family would reach the statistic, by the law fitted to the references.

    Raises:
        ValueError: fewer than ``FEWEST_REFERENCES``.
    """
    location, spread = gumbel_law(references)
    return -math.expm1(-math.exp(min(700.0, (location - statistic) / spread)))


def gumbel_limit(p_value: float, references: tuple[float, ...]) -> float:
    """The statistic that a clean model of the family reaches with this probability."""
    location, spread = gumbel_law(references)
    return location - spread * math.log(-math.log1p(-p_value))


def gumbel_law(references: tuple[float, ...]) -> tuple[float, float]:
    """Location and spread, by moments.

    Raises:
        ValueError: fewer than ``FEWEST_REFERENCES``.
    """
    if len(references) < FEWEST_REFERENCES:
        raise ValueError(f"a law needs {FEWEST_REFERENCES} clean models, not {len(references)}")
    spread = max(_LEAST_SPREAD, statistics.stdev(references) * math.sqrt(6) / math.pi)
    return statistics.fmean(references) - _EULER * spread, spread
