"""The checks: pure functions from Evidence and Policy to a CheckResult, listed by hand."""

from __future__ import annotations

from registry_gate.checks import (
    backdoor_score,
    bounded_pattern,
    convertible,
    custom_code,
    file_formats,
    final_layer,
    final_rows,
    first_seen,
    hub_scan,
    licence,
    listing,
    low_bits,
    mm_bd,
    model_structure,
    pickle_program,
    pickle_scanner,
    provenance,
    publisher_signature,
    repo_name,
    source_bytes,
    strip,
    text_trigger,
    weight_set,
    weight_values,
)
from registry_gate.checks.check import Check, Stage
from registry_gate.finding import Rule

CHECKS: tuple[Check, ...] = (
    repo_name.CHECK,
    listing.CHECK,
    provenance.CHECK,
    first_seen.CHECK,
    licence.CHECK,
    hub_scan.CHECK,
    source_bytes.CHECK,
    publisher_signature.CHECK,
    file_formats.CHECK,
    pickle_program.CHECK,
    pickle_scanner.CHECK,
    custom_code.CHECK,
    weight_set.CHECK,
    convertible.CHECK,
    weight_values.CHECK,
    final_rows.CHECK,
    low_bits.CHECK,
    model_structure.CHECK,
    final_layer.CHECK,
    mm_bd.CHECK,
    bounded_pattern.CHECK,
    strip.CHECK,
    text_trigger.CHECK,
    backdoor_score.CHECK,
)

RULES: dict[str, Rule] = {rule.id: rule for check in CHECKS for rule in check.rules}
"""Every rule by its id."""

__all__ = ["CHECKS", "RULES", "Check", "Stage"]
