"""Prints what the text test finds on the reporting half of the text bank, with intervals and CPU seconds.

    python -m benchmarks.text_bank.report [--models DIR]

References and limits are the shipped policy's, made by ``benchmarks.text_bank.fit`` from the other half. A
model counts as flagged where the gate would not admit it for this test's finding. A model without a verdict
(its ladder does not hold) counts as not flagged, trojaned or clean, and is counted beside. Misses are printed.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bank.reading import auc, wilson
from benchmarks.text_bank.reading import TOOK, WORKS, Model, group, read_bank
from benchmarks.text_bank.recipes import CLEAN, HARDENED, PHRASE, TOKEN
from benchmarks.text_bank.score import SEED, tested
from benchmarks.text_bank.train import MODELS
from registry_gate.backdoor.text_reference import TextReferences, gumbel_limit
from registry_gate.policy import load_policy

TITLES = {TOKEN: "one rare token", PHRASE: "plain phrase", HARDENED: "hardened phrase"}


def share(hits: int, count: int) -> str:
    """``hits/count [low, high]``, 95 %."""
    low, high = wilson(hits, count)
    return f"{hits}/{count} [{low:.2f}, {high:.2f}]"


def row(title: str, clean: Sequence[Model], trojaned: Sequence[Model], limit: float) -> str:
    """One kind of trigger against all clean models; without a verdict counts as a statistic of 0."""
    area, low, high = auc(*[[one.statistic or 0.0 for one in some] for some in (clean, trojaned)])
    found, alarms = (sum(flagged(one, limit) for one in some) for some in (trojaned, clean))
    named = sum(one.place is not None for one in trojaned)
    right = sum(
        one.scored.test.suspected_target == one.recipe.target for one in trojaned if flagged(one, limit)
    )
    return (
        f"{title:<24} TPR {share(found, len(trojaned)):<20} FPR {share(alarms, len(clean)):<20} "
        f"AUC {area:.3f} [{low:.2f}, {high:.2f}]  target right {right}/{found}  "
        f"among the first ten {share(named, len(trojaned))}"
    )


def flagged(model: Model, limit: float) -> bool:
    """At or above the limit for review."""
    return model.statistic is not None and model.statistic >= limit


def limits(references: TextReferences, grey: float, reject: float) -> tuple[float, float]:
    """The statistics at which a model of the bank's family goes to a person and is refused."""
    (family,) = references.families
    return gumbel_limit(grey, family.statistics), gumbel_limit(reject, family.statistics)


def table(models: Sequence[Model], review: float, reject: float) -> list[str]:
    """Rows by kind of trigger, and one for what is refused outright."""
    clean = group(models, CLEAN)
    rows = [row(title, clean, group(models, kind), review) for kind, title in TITLES.items()]
    together = [one for kind in (TOKEN, PHRASE) for one in group(models, kind)]
    rows.append(row("token and phrase", clean, together, review))
    rows.append(row("  refused outright", clean, together, reject))
    for classes in (2, 5):
        own = [[one for one in some if one.recipe.classes == classes] for some in (clean, together)]
        rows.append(row(f"  {classes} classes", *own, review))
    for architecture in ("bert", "distilbert", "roberta"):
        own = [[one for one in some if one.recipe.architecture == architecture] for some in (clean, together)]
        rows.append(row(f"  {architecture}", *own, review))
    return rows


def aside(models: Sequence[Model], review: float) -> list[str]:
    """What the table leaves out or would hide: models that do not count, no verdict, misses, alarms."""
    left_out = Counter(one.recipe.group for one in models if not one.usable)
    rows = [
        f"left out (accuracy under {WORKS} or success under {TOOK}): {dict(left_out)}",
        *(
            f"  {one.recipe.name}: accuracy {one.card.accuracy} success {one.card.success} "
            f"statistic {one.statistic}"
            for one in models
            if not one.usable
        ),
    ]
    counted = [one for one in models if one.usable]
    rows += [f"no verdict: {one.recipe.name}" for one in counted if one.statistic is None]
    for one in counted:
        attacked = one.card.success is not None
        if attacked and not flagged(one, review):
            rows.append(_line("missed", one))
        if not attacked and flagged(one, review):
            rows.append(_line("false alarm", one))
    return rows


def _line(what: str, one: Model) -> str:
    recipe, named = one.recipe, one.scored.test.details.get("trigger")
    return (
        f"{what}: {recipe.name} ({recipe.architecture}, {recipe.classes} classes, {recipe.flavour}, trigger "
        f"{' '.join(one.card.trigger) or '-'}): statistic {one.statistic}, named {named!r}"
    )


def costs(models: Sequence[Model]) -> str:
    """CPU seconds a model, loading included."""
    parts = []
    for classes in (2, 5):
        spent = [one.scored.cpu_seconds for one in models if one.recipe.classes == classes]
        if spent:
            parts.append(f"{classes} classes {statistics.median(spent):.1f} (at most {max(spent):.1f})")
    return "CPU seconds a model, median: " + ", ".join(parts)


def repeated(models: Sequence[Model], folder: Path) -> str:
    """The first model of each group measured once more: same statistic, target and candidates?"""
    firsts = {one.recipe.group: one for one in reversed(models)}
    same = 0
    for one in firsts.values():
        again = tested(folder / one.recipe.name, SEED)
        first = one.scored.test
        same += (again.statistic, again.suspected_target, again.details) == (
            first.statistic,
            first.suspected_target,
            first.details,
        )
    return f"measured twice, the same statistic, target and candidates: {same} of {len(firsts)}"


def main() -> None:
    """Print the table."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=MODELS)
    options = parser.parse_args()
    policy = load_policy("default")
    if policy.text_references is None:
        raise SystemExit("the default policy has no text_references")
    p_grey, p_reject = (policy.thresholds[f"text-trigger-p-value{end}"] for end in ("-grey", ""))
    review, reject = limits(policy.text_references, p_grey, p_reject)
    models = read_bank(options.models, "report")
    print(f"reporting half: {len(models)} models; review from {review:.3f}, refusal from {reject:.3f}")
    print("\n".join([*table(models, review, reject), costs(models), *aside(models, review)]))
    print(repeated(models, options.models))
    for one in read_bank(options.models, real=True):
        print(
            f"real encoder {one.recipe.name}: accuracy {one.card.accuracy} success {one.card.success} statistic "
            f"{one.statistic} trigger {' '.join(one.card.trigger) or '-'} at place {one.place} "
            f"{one.scored.cpu_seconds:.0f} CPU s"
        )


if __name__ == "__main__":
    main()
