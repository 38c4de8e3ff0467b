import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.paths import path_collisions, path_hazard

ORDINARY = [
    "model.safetensors",
    ".gitattributes",
    "1_Pooling/config.json",
    "a b/ünï-日本 (1).txt",
    "x" * 255,
    "..hidden",
    "a..b",
]


@pytest.mark.parametrize("path", ORDINARY)
def test_ordinary_paths_have_no_hazard(path):
    assert path_hazard(path) is None


@pytest.mark.parametrize(
    "path",
    ["", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "c:a", "C:\\a", "a\\b", "a\x00",
     "\x1b[31m", "a\u202eb", "a\u200bb", "\ud800", ".git/config", "a/.GIT/x", "x" * 256, "a/" * 600 + "b"],
)  # fmt: skip
def test_hazards_are_named(path):
    assert path_hazard(path)


@given(st.text(alphabet=st.sampled_from("aA./\\:\x00é\u0301~ -"), max_size=12))
def test_a_path_without_hazard_stays_below_its_folder(path):
    if path_hazard(path) is None:
        parts = PurePosixPath(path).parts
        assert parts and ".." not in parts and not path.startswith("/")
        assert "/".join(parts) == path


@given(st.lists(st.text(alphabet="aAbé", min_size=1, max_size=3), max_size=6))
def test_collisions_are_found_exactly_for_flat_names(names):
    folded = [unicodedata.normalize("NFC", name).casefold() for name in names]
    assert bool(path_collisions(names)) == (len(set(folded)) < len(folded))


def test_sharp_s_and_composition_collide():
    assert path_collisions(["straße", "STRASSE"])
    assert path_collisions(["caf\u00e9", "cafe\u0301"])


def test_folders_and_files_collide_in_either_order():
    assert path_collisions(["a/b/c", "A/b/d"]) == [("a", "A"), ("a/b", "A/b")]
    assert path_collisions(["a", "a/b"]) == path_collisions(["a/b", "a"]) == [("a", "a")]
    assert path_collisions(["a/b", "a/c", "ab"]) == []
