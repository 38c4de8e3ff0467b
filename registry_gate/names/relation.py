"""How a text relates to a protected one: the vocabulary between the comparisons and the assessment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from registry_gate.finding import Confidence


class How(StrEnum):
    """In which way a text is, or comes near, a protected one; the values are words for a message."""

    SAME = "same name"
    CASE = "upper and lower case"
    SEPARATORS = "separators"
    CONFUSABLE = "confusable characters"
    EDIT = "edit distance"
    PLURAL = "plural"
    AFFIX = "affix"
    ORDER = "token order"
    COMBINED = "combined with other words"
    EXTENSION = "extends a legacy name"
    NAMESPACE = "namespace"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Relation:
    """One protected text, how the candidate's text comes near it, and how sure that is imitation.

    ``distance`` counts single-character edits, where edits were counted.
    """

    target: str
    how: How
    confidence: Confidence
    distance: int | None = None
