"""The law of a family's clean models: too few give none; p falls with the statistic; the limit inverts it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from registry_gate.backdoor.text_reference import TextFamily, gumbel_law, gumbel_limit, gumbel_p_value

CLEAN = (0.02, 0.05, 0.06, 0.08, 0.1, 0.12, 0.13, 0.18)
FAMILY = TextFamily(
    name="tiny",
    model_types=("bert", "roberta"),
    hidden=(32, 64),
    layers=(1, 3),
    classes=(2, 5),
    vocabulary=(400, 40_000),
    statistics=CLEAN,
)


@given(st.floats(0.001, 0.999))
def test_limit_is_the_inverse_of_the_p_value(p_value: float) -> None:
    assert gumbel_p_value(gumbel_limit(p_value, CLEAN), CLEAN) == pytest.approx(p_value, rel=1e-6)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_p_value_never_rises_with_the_statistic(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= gumbel_p_value(high, CLEAN) <= gumbel_p_value(low, CLEAN) <= 1


def test_law_of_equal_references_keeps_a_spread() -> None:
    """Eight models that happen to agree must not turn the next one's rounding into an alarm."""
    assert gumbel_p_value(0.11, (0.1,) * 8) > 0.2


@pytest.mark.parametrize("count", [0, 1, 7])
def test_too_few_references_are_no_law(count: int) -> None:
    with pytest.raises(ValueError, match="8 clean models"):
        gumbel_law(CLEAN[:count])
    with pytest.raises(ValidationError):
        TextFamily.model_validate(FAMILY.model_dump() | {"statistics": CLEAN[:count]})


@pytest.mark.parametrize(
    ("member", "belongs"),
    [
        (("bert", 32, 1, 2, 400), True),
        (("roberta", 64, 3, 5, 40_000), True),
        (("distilbert", 32, 1, 2, 400), False),
        (("bert", 65, 1, 2, 400), False),
        (("bert", 32, 0, 2, 400), False),
        (("bert", 32, 1, 6, 400), False),
        (("bert", 32, 1, 2, 40_001), False),
    ],
)
def test_family_holds_its_own_and_no_other(member: tuple[str, int, int, int, int], belongs: bool) -> None:
    assert FAMILY.holds(*member) is belongs
