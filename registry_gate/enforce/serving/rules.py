"""What a serving audit can find; the table is ``rules.yaml`` beside this file."""

from __future__ import annotations

from registry_gate.enforce.rule_table import rule_table
from registry_gate.finding import Confidence, Finding, Location

RULES = rule_table("registry_gate.enforce.serving")


def found(
    slug: str, file: str, field: str, message: str, confidence: Confidence = Confidence.HIGH
) -> Finding:
    """A finding of one of the rules, at a field of a file."""
    return Finding(
        rule=slug,
        severity=RULES[slug].severity,
        confidence=confidence,
        message=message,
        location=Location(file=file, field=field or None),
    )
