"""Model ids obey the hub's rules, which make the registry's names one to one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.candidate import check_model_id, registered_name
from registry_gate.errors import UsageError

PART = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,10}[A-Za-z0-9])?", fullmatch=True)


@pytest.mark.parametrize("good", ["a/b", "bert-base-uncased", "Org_1/Model.v2-x", "a/b.c"])
def test_ordinary_ids(good: str) -> None:
    assert check_model_id(good) == good


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "/",
        "a/",
        "/b",
        "a/b/c",
        "a--b/c",
        "a/b..c",
        "-a/b",
        "a/b-",
        "a b/c",
        "../x",
        "a/b\n",
        "a/é",
        "a/b.git",
        "x" * 97,
    ],
)
def test_ids_the_hub_would_refuse(bad: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_model_id(bad)
    assert refused.value.code == "bad-model-id"


@given(PART, PART, PART, PART)
def test_registered_names_are_one_to_one_up_to_case(a: str, b: str, c: str, d: str) -> None:
    try:
        first, second = registered_name(f"{a}/{b}"), registered_name(f"{c}/{d}")
    except UsageError:
        return
    assert (first == second) == (f"{a}/{b}".lower() == f"{c}/{d}".lower())
    assert "/" not in first
    assert ":" not in first
