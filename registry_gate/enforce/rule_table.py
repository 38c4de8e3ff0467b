"""Rules as a table: the ``rules.yaml`` of a package, one rule an id, in the order they are listed."""

from __future__ import annotations

from importlib import resources

import yaml

from registry_gate.finding import Rule


def rule_table(package: str) -> dict[str, Rule]:
    """The rules that ship with a package, by id."""
    text = resources.files(package).joinpath("rules.yaml").read_text(encoding="utf-8")
    rows = yaml.safe_load(text)
    return {slug: Rule.model_validate({"id": slug, **row}, strict=False) for slug, row in rows.items()}
