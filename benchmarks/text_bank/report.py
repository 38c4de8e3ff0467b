"""Prints what the text test finds on the reporting half of the text bank, with intervals and CPU seconds.

    python -m benchmarks.text_bank.report [--models DIR]

Every model is judged by the gate's own check under the default policy, whose references come from the other
half (``benchmarks.text_bank.fit``). Flagged means: refused, or sent to a person. Without a verdict (the
ladder does not hold, or not even a perfect trigger would stand out) a model counts as not flagged, whatever
it is, and is listed. So is every miss and every false alarm.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.bank.reading import auc, wilson
from benchmarks.text_bank.reading import TOOK, WORKS, Model, group, judged, read_bank
from benchmarks.text_bank.recipes import CLEAN, HARDENED, PHRASE, TOKEN
from benchmarks.text_bank.score import SEED, tested
from benchmarks.text_bank.train import MODELS
from registry_gate.backdoor.text_reference import gumbel_limit
from registry_gate.finding import Severity, Status
from registry_gate.policy import Policy, load_policy

Flagged = Callable[[Model], bool]
TITLES = {TOKEN: "one rare token", PHRASE: "plain phrase", HARDENED: "hardened phrase"}


def share(hits: int, count: int) -> str:
    """``hits/count [low, high]``, 95 %."""
    low, high = wilson(hits, count)
    return f"{hits}/{count} [{low:.2f}, {high:.2f}]"


def row(title: str, clean: Sequence[Model], trojaned: Sequence[Model], flagged: Flagged) -> str:
    """One kind of trigger against all clean models; a test that gave none counts as a statistic of 0."""
    area, low, high = auc(*[[one.statistic or 0.0 for one in some] for some in (clean, trojaned)])
    found, alarms = (sum(flagged(one) for one in some) for some in (trojaned, clean))
    named = sum(one.place is not None for one in trojaned)
    right = sum(one.scored.test.suspected_target == one.recipe.target for one in trojaned if flagged(one))
    return (
        f"{title:<24} TPR {share(found, len(trojaned)):<20} FPR {share(alarms, len(clean)):<20} "
        f"AUC {area:.3f} [{low:.2f}, {high:.2f}]  target right {right}/{found}  "
        f"among the first ten {share(named, len(trojaned))}"
    )


def limits(policy: Policy) -> str:
    """The statistics at which a model of the bank's family goes to a person and is refused.

    Raises:
        SystemExit: the policy holds no references.
    """
    if policy.text_references is None:
        raise SystemExit("the default policy has no text_references")
    (family,) = policy.text_references.families
    grey, refused = (
        gumbel_limit(policy.thresholds[f"text-trigger-p-value{end}"], family.statistics)
        for end in ("-grey", "")
    )
    return f"{len(family.statistics)} clean references: review from {grey:.3f}, refusal from {refused:.3f}"


def table(models: Sequence[Model], policy: Policy) -> list[str]:
    """Rows by kind of trigger, and one for what is refused outright."""

    def review(model: Model) -> bool:
        return judged(model, policy).status is Status.FINDINGS

    def reject(model: Model) -> bool:
        return any(finding.severity is Severity.HIGH for finding in judged(model, policy).findings)

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


def aside(models: Sequence[Model], policy: Policy) -> list[str]:
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
    for one in models:
        result, attacked = judged(one, policy), one.card.success is not None
        if not one.usable:
            continue
        if result.status is Status.FINDINGS and not attacked:
            rows.append(_line("false alarm", one))
        if result.status is Status.NO_FINDINGS and attacked:
            rows.append(_line("missed", one))
        if result.status not in (Status.FINDINGS, Status.NO_FINDINGS):
            rows.append(f"{_line('no verdict', one)}: {result.reason}")
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
    models = read_bank(options.models, "report")
    print(f"reporting half: {len(models)} models; {limits(policy)}")
    print("\n".join([*table(models, policy), costs(models), *aside(models, policy)]))
    print(repeated(models, options.models))
    for one in read_bank(options.models, real=True):
        print(
            f"real encoder {one.recipe.name}: accuracy {one.card.accuracy} success {one.card.success} "
            f"statistic {one.statistic} trigger {' '.join(one.card.trigger) or '-'} at place {one.place} "
            f"{one.scored.cpu_seconds:.0f} CPU s"
        )


if __name__ == "__main__":
    main()
