"""The fused score: what it adds up, what it ignores, and that it depends on nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.backdoor.fusion import Fused, Fusion, Weights, fuse, values

NAMES = ("bounded-pattern", "margin-gain", "mask-pattern")


def _weights(*required: str, intercept: float = -2.0) -> Weights:
    return Weights(
        intercept=intercept,
        coefficients=dict.fromkeys((*NAMES, "mm-bd"), 1.0),
        scales=dict.fromkeys((*NAMES, "mm-bd"), 0.25),
        required=required,
        cap=4.0,
    )


FUSION = Fusion(dated="", made_by="", with_samples=_weights(*NAMES), without_samples=_weights("mm-bd"))
EVEN = dict.fromkeys(NAMES, (1.0, 1.0, 1.0, 1.0, 1.0))


def _fused(measured: dict[str, tuple[float, ...]]) -> Fused:
    found = fuse(measured, FUSION)
    assert isinstance(found, Fused)
    return found


def test_tests_that_agree_on_a_class_add_up() -> None:
    one = _fused(EVEN | {"bounded-pattern": (1.0, 0.7, 1.0, 1.0, 1.0)})
    both = _fused(
        EVEN | {"bounded-pattern": (1.0, 0.7, 1.0, 1.0, 1.0), "mask-pattern": (1.0, 0.7, 1.0, 1.0, 1.0)}
    )
    assert one.target == both.target == 1
    assert both.logit + 2 == pytest.approx(2 * (one.logit + 2))


def test_tests_that_point_at_different_classes_do_not() -> None:
    apart = _fused(
        EVEN | {"bounded-pattern": (1.0, 0.7, 1.0, 1.0, 1.0), "mask-pattern": (1.0, 1.0, 0.7, 1.0, 1.0)}
    )
    alone = _fused(EVEN | {"bounded-pattern": (1.0, 0.7, 1.0, 1.0, 1.0)})
    assert apart.logit == pytest.approx(alone.logit)


def test_one_test_cannot_say_more_than_its_cap() -> None:
    assert _fused(EVEN | {"mask-pattern": (1.0, 1e-9, 1.0, 1.0, 1.0)}).logit == pytest.approx(-2 + 4)


def test_an_optional_test_counts_where_it_measured_every_class() -> None:
    assert "mm-bd" in _fused(EVEN | {"mm-bd": (1.0, 2.0, 3.0, 4.0, 5.0)}).counted
    assert "mm-bd" not in _fused(EVEN | {"mm-bd": (1.0, 2.0)}).counted


def test_without_samples_other_coefficients_are_taken_and_said() -> None:
    found = _fused({"mm-bd": (1.0, 1.0, 8.0, 1.0)})
    assert (found.situation, found.target, found.counted) == ("without-samples", 2, ("mm-bd",))


@pytest.mark.parametrize(
    "measured",
    [{}, {"bounded-pattern": (1.0, 2.0, 3.0)}, {"mm-bd": (1.0, 2.0)}, {"mm-bd": (1.0, math.nan, 2.0)}],
    ids=["nothing", "one of three", "two classes", "not a number"],
)
def test_what_cannot_be_fused_is_said_in_words(measured: dict[str, tuple[float, ...]]) -> None:
    assert isinstance(fuse(measured, FUSION), str)


numbers = st.lists(st.floats(0.01, 100), min_size=3, max_size=12)


@given(numbers, st.floats(0.1, 10))
def test_the_unit_of_a_test_does_not_matter(seen: list[float], unit: float) -> None:
    scaled = values("margin-gain", tuple(value * unit for value in seen))
    assert scaled == pytest.approx(values("margin-gain", tuple(seen)), abs=1e-9)


@given(numbers, st.randoms(use_true_random=False))
def test_the_order_of_classes_does_not_matter(seen: list[float], random) -> None:
    order = list(range(len(seen)))
    random.shuffle(order)
    shuffled = dict.fromkeys(NAMES, tuple(seen[place] for place in order))
    assert _fused(shuffled).score == pytest.approx(_fused(dict.fromkeys(NAMES, tuple(seen))).score)


@given(numbers, st.integers(0, 11), st.floats(0.1, 1))
def test_more_suspicion_of_the_target_never_lowers_the_score(
    seen: list[float], which: int, share: float
) -> None:
    before = _fused(dict.fromkeys(NAMES, tuple(seen)))
    sharper = list(seen)
    sharper[before.target] *= share
    lowered = _fused(dict.fromkeys(NAMES, tuple(seen)) | {"mask-pattern": tuple(sharper)})
    assert lowered.score >= before.score - 1e-12
