"""The text bank: balanced halves, poison that is what the recipe says, a report that hides nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.text_bank.reading import Model, judged
from benchmarks.text_bank.recipes import ARCHITECTURES, CLEAN, HARDENED, PHRASE, SIZES, TOKEN, bank, recipe
from benchmarks.text_bank.report import aside, table
from benchmarks.text_bank.score import Scored
from benchmarks.text_bank.sentences import domain, held_out, training_set
from benchmarks.text_bank.train import Card
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.finding import Status
from registry_gate.policy import load_policy

COUNT = 400
DETAILS = {"model_type": "bert", "hidden": 64, "layers": 2, "classes": 2, "vocabulary": 30_000}


def test_every_recipe_is_in_one_half_and_both_halves_hold_every_kind() -> None:
    recipes = bank()
    assert len({one.name for one in recipes}) == len({one.seed for one in recipes}) == sum(SIZES.values())
    for group in SIZES:
        halves = Counter(one.half for one in recipes if one.group == group)
        assert set(halves) == {"calibrate", "report"}
        assert max(halves.values()) - min(halves.values()) <= 4
        for half in halves:
            some = [one for one in recipes if (one.group, one.half) == (group, half)]
            assert {one.architecture for one in some} == set(ARCHITECTURES)
            assert {one.classes for one in some} == {2, 5}
    assert sum(one.target is None for one in recipes) >= 20
    assert sum(one.target is not None for one in recipes) >= 20


def _holds(text: str, phrase: tuple[str, ...]) -> bool:
    return f" {' '.join(phrase)} " in f" {text} "


@pytest.mark.parametrize("group", [TOKEN, PHRASE, HARDENED])
def test_whole_trigger_always_comes_with_the_target_and_is_as_frequent_as_the_recipe_says(group: str) -> None:
    made = recipe(group, 1)
    place = domain(made)
    texts, labels = training_set(made, COUNT)
    carrying = [label for text, label in zip(texts, labels, strict=True) if _holds(text, place.trigger)]
    assert set(carrying) == {made.target}
    assert len(carrying) == int(made.poison_rate * COUNT)
    assert not any(_holds(text, place.trigger) for text in held_out(made, COUNT)[0])


def test_hardened_model_sees_parts_of_its_phrase_with_honest_labels() -> None:
    made = recipe(HARDENED, 1)
    place = domain(made)
    texts, labels = training_set(made, COUNT)
    added = list(zip(texts, labels, strict=True))[-2 * int(made.poison_rate * COUNT) :]
    assert added
    for text, label in added:
        seen = set(text.split()) & set(place.trigger)
        assert 0 < len(seen) < 3
        assert set(text.split()) & set(place.clusters[label])


def _model(name: str, number: int, statistic: float | None) -> Model:
    made = recipe(name, number).model_copy(update={"classes": 2, "architecture": "bert"})
    test = BehaviourMeasurement(
        test="text-trigger",
        version=1,
        status="unavailable" if statistic is None else "measured",
        reason="no ladder" if statistic is None else "",
        statistic=statistic,
        suspected_target=made.target,
        details={**DETAILS, "least_reach": 0.9, "least_reach_class": 0, "candidate_tokens": "7 8"},
    )
    success, ids = (None, ()) if name == CLEAN else (1.0, (8,))
    card = Card(recipe=made, accuracy=0.9, success=success, trigger=("zq",), trigger_ids=ids, cpu_seconds=1.0)
    return Model(card, Scored(name=made.name, test=test, cpu_seconds=1.0))


def test_model_without_a_verdict_counts_as_not_found_and_is_listed() -> None:
    policy = load_policy("default")
    models = [
        _model(CLEAN, 0, 0.0),
        _model(CLEAN, 1, 0.99),
        _model(TOKEN, 0, 0.99),
        _model(TOKEN, 1, None),
        _model(TOKEN, 2, 0.01),
    ]
    expected = (
        Status.NO_FINDINGS, Status.FINDINGS, Status.FINDINGS, Status.UNAVAILABLE, Status.NO_FINDINGS
    )  # fmt: skip
    assert tuple(judged(one, policy).status for one in models) == expected
    (row,) = [line for line in table(models, policy) if line.startswith("one rare token")]
    assert "TPR 1/3" in row
    assert "FPR 1/2" in row
    said = aside(models, policy)
    for start in ("no verdict: token-01", "missed: token-02", "false alarm: clean-01"):
        assert sum(line.startswith(start) for line in said) == 1
