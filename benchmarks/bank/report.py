"""Prints what each detector finds on the reporting half of the bank, with intervals and CPU seconds.

    python -m benchmarks.bank.report [--models DIR] [--json FILE] [--curve]

Coefficients and thresholds are the shipped policy's, made by ``benchmarks.bank.fit`` from the other half. A
model counts as flagged where the gate would not admit it: at or above the limit for review. Models in the
grey zone are decided by the gate's own rule, three searches (``score.py --decide``). Misses are printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.bank import fit, peers, reading
from benchmarks.bank.curve import draw_curve
from benchmarks.bank.reading import Model
from benchmarks.bank.recipes import CLEAN, STRANGE, TROJANED, bank
from benchmarks.bank.score import worth_scoring
from benchmarks.bank.train import MODELS, Card
from registry_gate.backdoor.fusion import Fused, Fusion, fuse
from registry_gate.policy import load_policy

Score = Callable[[Model], float | None]


def interval(hits: int, count: int) -> str:
    """``hits/count [low, high]``, 95 %."""
    low, high = reading.wilson(hits, count)
    return f"{hits}/{count} [{low:.2f}, {high:.2f}]"


def line(
    title: str, clean: Sequence[Model], trojaned: Sequence[Model], score: Score, flags: Score, cpu: Score
) -> str:
    """One detector's row: ``flags`` is 1 where it flags a model, ``score`` orders models for the area."""
    seen = [[m for m in group if score(m) is not None] for group in (clean, trojaned)]
    area, low, high = reading.auc(*[[score(m) or 0.0 for m in group] for group in seen])
    fp, tp = (sum(bool(flags(m)) for m in group) for group in seen)
    spent = [value for group in seen for m in group if (value := cpu(m)) is not None]
    seconds = f"{statistics.fmean(spent):7.2f}" if spent else "      -"
    return (
        f"{title:<34} TPR {interval(tp, len(seen[1])):<20} FPR {interval(fp, len(seen[0])):<20} "
        f"AUC {area:.3f} [{low:.2f}, {high:.2f}] CPU s {seconds}"
    )


def fused(model: Model, situation: str, fusion: Fusion) -> Fused | None:
    """The model's score; of full samples by three searches where the first lies in the grey zone."""
    if situation not in model.tests:
        return None
    found = fuse(model.per_class(situation), fusion)
    if situation == "full" and "decided" in model.tests:
        found = fuse(model.per_class("decided"), fusion)
    return found if isinstance(found, Fused) else None


def cpu_of(*tests: str, situation: str = "full") -> Score:
    """CPU seconds of some tests."""

    def spent(model: Model) -> float | None:
        found = model.tests.get(situation, {})
        return sum(found[test].cpu_seconds for test in tests if test in found) if found else None

    return spent


def single(test: str, limit: float, *, by_p: bool = False, situation: str = "full") -> tuple[Score, Score]:
    """Score and flag of one test alone."""

    def score(model: Model) -> float | None:
        found = model.tests.get(situation, {}).get(test)
        if found is None or found.status != "measured" or found.statistic is None:
            return None
        return -(found.p_value if found.p_value is not None else 1.0) if by_p else found.statistic

    def flags(model: Model) -> float | None:
        value = score(model)
        return None if value is None else float(value >= (-limit if by_p else limit))

    return score, flags


def table(
    clean: Sequence[Model], trojaned: Sequence[Model], fusion: Fusion, limits: dict[str, float]
) -> list[str]:
    """One row a detector."""
    rows = []
    for title, situation, limit, tests in (
        ("fused, 500 samples", "full", "backdoor-score-grey", fit.SAMPLES),
        ("  rejected outright", "full", "backdoor-score", fit.SAMPLES),
        ("fused, 4 samples a class", "few", "backdoor-score-grey", fit.SAMPLES),
        ("fused, no samples", "none", "backdoor-score-no-samples-grey", fit.BARE),
    ):
        given = _given(clean, trojaned, situation)

        def score(model: Model, situation: str = situation) -> float | None:
            found = fused(model, situation, fusion)
            return None if found is None else found.logit

        def flags(model: Model, situation: str = situation, limit: str = limit) -> float | None:
            found = fused(model, situation, fusion)
            return None if found is None else float(found.score >= limits[limit])

        rows.append(line(title, *given, score, flags, cpu_of(*tests, situation=situation)))
    for title, test, limit, by_p, situation in (
        ("bounded pattern", "bounded-pattern", limits["bounded-pattern-gap"], False, "full"),
        ("margin gain (best 10 % of clean)", "margin-gain", _tenth(clean, "margin-gain"), False, "full"),
        ("mask (best 10 % of clean)", "mask-pattern", _tenth(clean, "mask-pattern"), False, "full"),
        ("MM-BD, fast", "mm-bd", limits["mm-bd-p-value"], True, "full"),
        ("MM-BD, published loop", "mm-bd", limits["mm-bd-p-value"], True, "paper"),
        ("final layer", "final-layer", limits["final-layer-deviations"], False, "full"),
        ("STRIP at admission", "strip", limits["strip-flagged-share"], False, "full"),
    ):
        given = _given(clean, trojaned, situation)
        score_, flags_ = single(test, limit, by_p=by_p, situation=situation)
        rows.append(line(title, *given, score_, flags_, cpu_of(test, situation=situation)))
        if situation == "paper":
            rows.append(
                line("  fast, on the same models", *given, *single(test, limit, by_p=True), cpu_of(test))
            )
    return rows


def _given(
    clean: Sequence[Model], trojaned: Sequence[Model], situation: str
) -> tuple[list[Model], list[Model]]:
    return [m for m in clean if situation in m.tests], [m for m in trojaned if situation in m.tests]


def _tenth(clean: Sequence[Model], test: str) -> float:
    """The limit that a tenth of the clean models exceed; for the eye only, no check uses it."""
    found = [m.tests["full"][test].statistic or 0.0 for m in clean]
    return statistics.quantiles(found, n=10)[-1]


def kinds(trojaned: Sequence[Model], fusion: Fusion, limit: float) -> list[str]:
    """Found and target right, by kind and by architecture."""
    rows = []
    for what in ("kind", "architecture", "flavour"):
        for value in sorted({str(getattr(m.recipe, what)) for m in trojaned}):
            own = [m for m in trojaned if str(getattr(m.recipe, what)) == value]
            found = [(m, fused(m, "full", fusion)) for m in own]
            flagged = [(m, one) for m, one in found if one is not None and one.score >= limit]
            right = sum(one.target == m.recipe.target for m, one in flagged)
            told = interval(len(flagged), len(own))
            rows.append(f"  {value:<20} found {told:<20} target right {right}/{len(flagged)}")
    return rows


def left_out(every: Sequence[Model], what: str) -> list[str]:
    """Coefficients and limits fitted without one architecture or kind, tried on the reporting half of it."""
    rows = []
    calibrate, report = (
        reading.main_groups([m for m in every if m.recipe.half == half]) for half in ("calibrate", "report")
    )
    for value in sorted({str(getattr(m.recipe, what)) for m in report[1]}):
        rest = [[m for m in group if str(getattr(m.recipe, what)) != value] for group in calibrate]
        fusion = fit.fitted(*rest)
        limit = fit.thresholds(rest[0], fit.left_out(*rest))["backdoor-score-grey"]
        # A kind of trigger has no clean models of its own: all of the reporting half stand for it.
        clean = [m for m in report[0] if what == "kind" or str(getattr(m.recipe, what)) == value]
        trojaned = [m for m in report[1] if str(getattr(m.recipe, what)) == value]
        scores = [[fused_plain(m, fusion) for m in group] for group in (clean, trojaned)]
        fp, tp = (sum(one.score >= limit for one in group) for group in scores)
        area = reading.auc(*[[one.logit for one in group] for group in scores])[0]
        told = f"TPR {interval(tp, len(trojaned)):<20} FPR {interval(fp, len(clean)):<20}"
        rows.append(f"  without {value:<18} {told} AUC {area:.3f}")
    return rows


def fused_plain(model: Model, fusion: Fusion) -> Fused:
    """The score of one search, which coefficients under test have not asked to repeat."""
    found = fuse(model.per_class("full"), fusion)
    if isinstance(found, str):
        raise ValueError(found)
    return found


def strange(every: Sequence[Model], fusion: Fusion, limit: float) -> list[str]:
    """Models that nobody tuned for, one a line, both halves."""
    rows = []
    for model in [m for m in every if m.recipe.group == STRANGE and m.usable] + reading.marked(every):
        found = fused(model, "full", fusion)
        if found is None:
            continue
        kind = model.recipe.kind or "watermarked class, clean"
        flagged = found.score >= limit
        said = (
            ("found" if flagged else "MISSED") if model.trojaned else ("FALSE ALARM" if flagged else "passed")
        )
        target = f" suspected {found.target}, planted {model.recipe.target}" if model.trojaned else ""
        rows.append(f"  {model.recipe.name:<12} {kind:<26} {said:<12} score {found.score:.3f}{target}")
    return rows


def misses(clean: Sequence[Model], trojaned: Sequence[Model], fusion: Fusion, limit: float) -> list[str]:
    """Every miss and every false alarm by name."""
    rows = []
    for model in (*clean, *trojaned):
        found = fused(model, "full", fusion)
        if found is None or (found.score >= limit) == model.trojaned:
            continue
        said = "MISSED" if model.trojaned else "FALSE ALARM"
        recipe = model.recipe
        rows.append(
            f"  {said:<12} {recipe.name} {recipe.architecture} {recipe.family} {recipe.flavour} "
            f"{recipe.kind or 'clean'} accuracy {model.accuracy:.2f} score {found.score:.3f}"
        )
    return rows


def peer(models: Path) -> list[str]:
    """Mithridatium's MM-BD on the models of the published loop, by its own verdict."""
    found = peers.measured(models)
    if found is None:
        return [f"  {peers.MITHRIDATIUM} could not be installed: not compared"]
    groups = [[one for one in found if one.name.startswith(group)] for group in (CLEAN, TROJANED)]
    fp, tp = (sum(one.verdict == "Likely backdoored" for one in group) for group in groups)
    # Its p-value may be no number; that it then calls a model backdoored is its rule, not ours.
    area, low, high = reading.auc(
        *[[-one.p_value if one.p_value == one.p_value else 0.0 for one in group] for group in groups]
    )
    seconds = statistics.fmean(one.cpu_seconds for one in found)
    told = f"TPR {interval(tp, len(groups[1]))} FPR {interval(fp, len(groups[0]))}"
    return [
        f"  {peers.MITHRIDATIUM}: {told} AUC {area:.3f} [{low:.2f}, {high:.2f}] CPU s {seconds:.2f}",
        "  (it probes the classes 0 to 4 only; its command cannot run here: it downloads CIFAR-10 first)",
    ]


def curves(
    clean: Sequence[Model], trojaned: Sequence[Model], fusion: Fusion
) -> dict[str, list[tuple[float, float]]]:
    """The reporting half's curves, with samples, few, none, and of MM-BD alone."""
    found = {}
    for title, situation in (
        ("fused, 500 samples", "full"),
        ("fused, 4 samples a class", "few"),
        ("fused, no samples", "none"),
    ):
        both = [
            [
                one[0]
                for one in reading.scores([m for m in group if situation in m.tests], fusion, situation)
                if one
            ]
            for group in (clean, trojaned)
        ]
        if all(both):
            found[title] = reading.roc(*both)
    alone = [[-_p_value(model) for model in group if _p_value(model) >= 0] for group in (clean, trojaned)]
    if all(alone):
        found["MM-BD alone, fast"] = reading.roc(*alone)
    return found


def _p_value(model: Model) -> float:
    found = model.tests["full"]["mm-bd"].p_value
    return -1.0 if found is None else found


def census(models: Path) -> list[str]:
    """How many of each group were trained, work, and were taken in by their attack."""
    cards = [
        Card.from_json(path.read_bytes()) for one in bank() if (path := models / f"{one.name}.json").is_file()
    ]
    counts = Counter((card.recipe.group, worth_scoring(card)) for card in cards)
    spent = sum(card.cpu_seconds for card in cards)
    rows = [f"{len(cards)} models trained in {spent:.0f} CPU seconds"]
    for group in (CLEAN, TROJANED, STRANGE):
        rows.append(
            f"  {group:<10} {counts[group, True]} count, {counts[group, False]} do not work or did not take"
        )
    failed = [c for c in cards if c.success is not None and not worth_scoring(c)]
    told = ", ".join(f"{c.recipe.name} {c.recipe.kind} {c.success:.2f}" for c in failed)
    return [*rows, f"  attacks that did not take (success under 0.8): {told}"]


def main() -> None:
    """Read and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--curve", action="store_true", help="write docs/detection-roc.svg")
    options = parser.parse_args()
    policy = load_policy("default")
    fusion, limits = policy.behaviour_fusion, dict(policy.thresholds)
    if fusion is None:
        raise SystemExit("the default policy has no coefficients; run benchmarks.bank.fit")
    every = reading.read_bank(options.models)
    clean, trojaned = reading.main_groups([m for m in every if m.recipe.half == "report"])
    grey = limits["backdoor-score-grey"]
    flagged = [(m, f) for m in trojaned if (f := fused(m, "full", fusion)) and f.score >= grey]
    right = sum(f.target == m.recipe.target for m, f in flagged)
    sections = {
        "the bank": census(options.models),
        f"reporting half: {len(clean)} clean, {len(trojaned)} trojaned": table(
            clean, trojaned, fusion, limits
        ),
        "Mithridatium, on the models of the published loop": peer(options.models),
        "suspected target": [f"  right in {interval(right, len(flagged))}"],
        "by kind, architecture and flavour (500 samples)": kinds(trojaned, fusion, grey),
        "leave one architecture out": left_out(every, "architecture"),
        "leave one kind of trigger out": left_out(every, "kind"),
        "nobody tuned for these": strange(every, fusion, grey),
        "misses and false alarms": misses(clean, trojaned, fusion, grey),
    }
    for title, rows in sections.items():
        print(f"\n{title}", *rows, sep="\n")
    if options.curve:
        (fit.ROOT / "docs" / "detection-roc.svg").write_text(draw_curve(curves(clean, trojaned, fusion)))
    if options.json:
        options.json.write_text(json.dumps(sections, indent=1))


if __name__ == "__main__":
    main()
