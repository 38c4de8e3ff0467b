"""The image bank's own code: recipes that cannot drift, triggers that do what they say, honest arithmetic."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from benchmarks.bank import fit, reading, score, train
from benchmarks.bank.curve import draw_curve
from benchmarks.bank.images import Domain, dataset
from benchmarks.bank.reading import Model
from benchmarks.bank.recipes import CLEAN, STRANGE, TROJANED, Recipe, bank, recipe
from benchmarks.bank.triggers import TUNED, UNTUNED, Trigger
from registry_gate.backdoor.fusion import Fused, fuse
from registry_gate.evidence import BehaviourMeasurement


def test_bank_holds_what_was_promised_and_both_halves_hold_every_kind() -> None:
    counts = Counter(one.group for one in bank())
    assert counts[CLEAN] >= 40
    assert counts[TROJANED] >= 40
    for half in ("calibrate", "report"):
        own = [one for one in bank() if one.half == half and one.group == TROJANED]
        assert {one.kind for one in own} == set(TUNED)
        assert len({one.architecture for one in own}) == 4
    assert {one.kind for one in bank() if one.group == STRANGE} == set(UNTUNED)


def test_recipe_follows_from_its_number_alone() -> None:
    assert recipe(TROJANED, 17) == recipe(TROJANED, 17)
    assert len({one.name for one in bank()}) == len({one.seed for one in bank()}) == len(bank())


@pytest.mark.parametrize("kind", [*TUNED, "warp"])
def test_trigger_is_small_fixed_and_keeps_images_in_range(kind: str) -> None:
    images, _ = dataset(Domain("digits", 10, 1), 20, torch.Generator().manual_seed(0))
    trigger = Trigger(kind, 3, seed=9)
    stamped = trigger.apply(images)
    assert torch.equal(stamped, trigger.apply(images))
    assert 0 <= stamped.min() <= stamped.max() <= 1
    assert 0 < (stamped - images).abs().mean() < 0.1


def test_labels_an_attacker_wants() -> None:
    labels = torch.tensor([0, 1, 2, 2])
    assert Trigger("all-to-all", 0, 1).wanted(labels, 3).tolist() == [1, 2, 0, 0]
    assert Trigger("patch", 2, 1).victims(labels).tolist() == [True, True, False, False]
    assert Trigger("source-specific", 2, 1, source=1).victims(labels).tolist() == [False, True, False, False]


@settings(deadline=None)
@given(
    st.lists(st.integers(-3, 3), min_size=2, max_size=12),
    st.lists(st.integers(-3, 3), min_size=2, max_size=12),
)
def test_area_is_that_of_another_library_and_lies_in_its_interval(
    clean: list[int], trojaned: list[int]
) -> None:
    area, low, high = reading.auc(clean, trojaned)
    wanted = [0] * len(clean) + [1] * len(trojaned)
    assert area == pytest.approx(roc_auc_score(wanted, [*clean, *trojaned]))
    assert low <= area <= high


@given(st.integers(0, 50), st.integers(1, 50))
def test_interval_of_a_share_holds_the_share(hits: int, count: int) -> None:
    low, high = reading.wilson(min(hits, count), count)
    assert 0 <= low <= min(hits, count) / count <= high + 1e-12 <= 1 + 1e-12


def _measured(gaps: dict[str, float], target: int = 2) -> dict[str, BehaviourMeasurement]:
    """Tests in which the target stands out by so much, among six classes that differ a little."""
    found = {}
    for number, (test, gap) in enumerate(gaps.items()):
        sign = -1 if test in ("bounded-pattern", "mask-pattern") else 1
        row = [math.exp(0.02 * ((number + label) % 3) + sign * gap * (label == target)) for label in range(6)]
        found[test] = BehaviourMeasurement(
            test=test, version=1, status="measured", statistic=1.0, per_class=tuple(row)
        )
    return found


def _bank_of(count: int) -> tuple[list[Model], list[Model]]:
    """Clean and trojaned models whose tests separate them, with noise that is fixed."""
    draws = np.random.default_rng(0)
    groups: tuple[list[Model], list[Model]] = ([], [])
    for number in range(count):
        for group, models, gap in zip((CLEAN, TROJANED), groups, (0.2, 1.0), strict=True):
            gaps = {test: gap + 0.15 * draws.random() for test in (*fit.SAMPLES, *fit.BARE)}
            made = recipe(group, number).model_copy(update={"target": 2 if group == TROJANED else None})
            absent = BehaviourMeasurement(test="strip", version=1, status="unavailable")
            tests = _measured(gaps) | {"strip": absent}
            models.append(Model(made, 0.9, None, {"full": tests, "none": tests}))
    return groups


def test_fit_separates_what_differs_and_no_coefficient_is_negative() -> None:
    clean, trojaned = _bank_of(12)
    fusion = fit.fitted(clean[:8], trojaned[:8])
    assert all(value >= 0 for value in fusion.with_samples.coefficients.values())
    scored = [fuse(model.per_class("full"), fusion) for model in (*clean[8:], *trojaned[8:])]
    logits = [one.logit for one in scored if isinstance(one, Fused)]
    assert max(logits[:4]) < min(logits[4:])
    assert all(one.target == 2 for one in scored[4:] if isinstance(one, Fused))


def test_limit_is_the_normal_quantile_of_clean_logits() -> None:
    logits = np.random.default_rng(1).normal(-2, 0.7, 4000).tolist()
    limit = fit.limit(logits, 0.08)
    assert np.mean([1 / (1 + math.exp(-one)) >= limit for one in logits]) == pytest.approx(0.08, abs=0.02)


def test_curve_is_a_whole_picture_and_the_same_twice() -> None:
    points = reading.roc([0.1, 0.2], [0.15, 0.9])
    assert points[0] == (0, 0)
    assert points[-1] == (1, 1)
    drawn = draw_curve({"fused": points})
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert drawn == draw_curve({"fused": points})


def test_model_is_trained_graded_and_scored_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The smallest round through the bank: a few images, a few steps; figures mean nothing here."""
    monkeypatch.setattr(train, "IMAGES", 300)
    monkeypatch.setattr(train, "HELD_OUT", 60)
    made: Recipe = recipe(TROJANED, 48)
    folder, card = train.kept(tmp_path, made)
    assert (folder / "model.safetensors").is_file()
    assert 0 <= card.accuracy <= 1
    assert card.success is not None
    found = score.scored(tmp_path, made, "decided")
    assert [one.test for one in found.tests] == ["bounded-pattern", "margin-gain", "mask-pattern"]
    before = (tmp_path / "scores" / f"{made.name}-decided.json").stat().st_mtime_ns
    assert score.scored(tmp_path, made, "decided") == found
    assert (tmp_path / "scores" / f"{made.name}-decided.json").stat().st_mtime_ns == before
