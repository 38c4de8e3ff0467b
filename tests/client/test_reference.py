from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.client.reference import Reference, parse
from registry_gate.errors import UsageError


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("org/model", Reference(name="org--model", alias="approved", id="org/model")),
        ("Org/Model.v2", Reference(name="org--model.v2", alias="approved", id="Org/Model.v2")),
        ("bert-base", Reference(name="bert-base", alias="approved", id="bert-base")),
        ("models:/org--model@approved", Reference(name="org--model", alias="approved")),
        ("models:/org--model@next", Reference(name="org--model", alias="next")),
        ("models:/org--model/3", Reference(name="org--model", alias=3)),
        (
            f"models:/org--model@sha256:{'a' * 64}",
            Reference(name="org--model", manifest=f"sha256:{'a' * 64}"),
        ),
        ("./org/model", Reference(folder=Path("org/model"))),
        ("../model", Reference(folder=Path("../model"))),
        ("/srv/model", Reference(folder=Path("/srv/model"))),
        ("model/", Reference(folder=Path("model"))),
        (".", Reference(folder=Path())),
        (Path("org/model"), Reference(folder=Path("org/model"))),
    ],
)
def test_references(ref: str | Path, expected: Reference) -> None:
    assert parse(ref, "approved") == expected


@pytest.mark.parametrize(
    "ref",
    [
        "",
        "models:/",
        "models:/a",
        "models:/a/b",
        f"models:/a@sha256:{'a' * 63}",
        f"models:/a@sha256:{'A' * 64}",
        f"models:/a@sha256:{'a' * 64}\n",
        "models:/a@",
        "models:/a/3/b",
        "models:/a@b@c",
        "models:a/3",
        "models:/a/-1",
        "models:/a/99999999999",
        "a/b/c",
        "org--model",
        "org/../model",
        "https://hub.example/org/model",
        "org/model@main",
        "a\0b",
        "./a\0b",
        "x" * 5000,
        "x" * 3000,
    ],
)
def test_what_names_nothing_is_a_usage_error(ref: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(ref, "approved")
    assert caught.value.code == "bad-reference"
    assert len(caught.value.message) < 1000


@given(st.text(max_size=80))
def test_text_is_read_in_one_way_or_refused(ref: str) -> None:
    try:
        parsed = parse(ref, "approved")
    except UsageError:
        return
    assert (parsed.folder is None) != (parsed.name is None)
    if parsed.id is not None:
        assert parsed.id == ref
