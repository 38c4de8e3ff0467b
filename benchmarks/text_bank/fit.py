"""Writes the clean references of the text test, from the calibrating half of the text bank.

    python -m benchmarks.text_bank.fit [--models DIR] [--date YYYY-MM-DD]

Rules, fixed before the reporting half was measured: the statistics of every clean model of the half that
works (accuracy at least 0.5) and whose ladder holds make one family, pooled over types, sizes and class
counts; a model is refused at p <= 0.01 and goes to a person at p <= 0.05 under the Gumbel law fitted to them.
The statistic itself, what makes a ladder hold, and these two levels were chosen on the calibrating half.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

import yaml

from benchmarks.text_bank.reading import clean_statistics, read_bank
from benchmarks.text_bank.train import MODELS
from registry_gate.backdoor.text_reference import TextFamily, TextReferences, gumbel_limit
from registry_gate.policy import policies_folder

_HEAD = "# Clean models that the text test holds others against. Generated: do not edit by hand.\n"


def references(models: Path, dated: str) -> TextReferences:
    """The table."""
    family = TextFamily(
        name="tiny encoders",
        model_types=("bert", "distilbert", "roberta"),
        hidden=(32, 64),
        layers=(1, 3),
        classes=(2, 5),
        vocabulary=(25_000, 35_000),
        statistics=clean_statistics(read_bank(models, "calibrate")),
    )
    made_by = "benchmarks/text_bank/fit.py; the rules stand in its docstring"
    return TextReferences(dated=dated, made_by=made_by, families=(family,))


def main() -> None:
    """Write the table and print the limits that follow from it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--date", default=datetime.now(UTC).date().isoformat())
    options = parser.parse_args()
    table = references(options.models, options.date)
    path = policies_folder() / "text-references.yaml"
    text = yaml.safe_dump(table.model_dump(mode="json"), sort_keys=False, width=110, default_flow_style=None)
    path.write_text(_HEAD + text, encoding="utf-8")
    for family in table.families:
        limits = ", ".join(f"p {p:g}: {gumbel_limit(p, family.statistics):.3f}" for p in (0.01, 0.05))
        print(f"{family.name}: {len(family.statistics)} clean models; {limits}")


if __name__ == "__main__":
    main()
