"""What the audit can find; the table is ``rules.yaml`` beside this file."""

from __future__ import annotations

from registry_gate.enforce.rule_table import rule_table

RULES = rule_table("registry_gate.enforce.audit")
