from __future__ import annotations

import unicodedata
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.errors import VerificationError
from registry_gate.release import Manifest, ManifestFile
from registry_gate.signing.manifest import check_manifest


def entry(name: str, size: int = 0, chunks: int | None = None) -> ManifestFile:
    digest = sha256(b"").hexdigest()
    count = -(-size // 8) if chunks is None else chunks
    return ManifestFile(name=name, size=size, sha256=digest, chunk_size=8, chunks=(digest,) * count)


def refused(*names: str) -> bool:
    try:
        check_manifest(Manifest(files=tuple(entry(name) for name in names)))
    except VerificationError as error:
        assert error.code == "bad-manifest"
        return True
    return False


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../etc/passwd",
        "a/../b",
        "a/./b",
        "/etc/passwd",
        "a//b",
        "a/",
        "a\\b",
        "a\0b",
        "a\nb",
        "a\x1b[31m",
        "a\u202eb",
        "a\u200bb",
        "a\u2028b",
        "\ud800",
        ".git/config",
        ".GIT/config",
        "a/.github/b",
        ".gitattributes",
        "n" * 256,
        "/".join(["n" * 200] * 6),
    ],
)
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    assert refused(name)


@pytest.mark.parametrize(
    "name", ["a", "a.b", "model-00001-of-00002.safetensors", "tokenizer/ü 日本.txt", ".x", "...a"]
)
def test_a_plain_name_is_accepted(name: str) -> None:
    assert not refused(name)


@pytest.mark.parametrize(
    "names",
    [
        ("a", "a"),
        ("b", "a"),
        ("A", "a"),
        ("Config.json", "config.json"),
        ("stra\u00dfe", "strasse"),
        tuple(sorted(("\u00e9", "e\u0301"))),
        ("a", "a/b"),
        ("A", "a/b"),
        (),
    ],
)
def test_names_that_could_be_one_are_refused(names: tuple[str, ...]) -> None:
    assert refused(*names)


@given(st.text(min_size=1, max_size=20))
def test_two_spellings_of_one_name_never_pass(name: str) -> None:
    """Whatever normalisation or case a file system folds, two such names are not both in a manifest."""
    for variant in {
        name.upper(),
        name.casefold(),
        *(unicodedata.normalize(f, name) for f in ("NFC", "NFD")),
    } - {name}:
        if unicodedata.normalize("NFC", variant.casefold()) == unicodedata.normalize("NFC", name.casefold()):
            assert refused(*sorted((name, variant)))


@pytest.mark.parametrize(("size", "chunks"), [(0, 1), (1, 0), (8, 2), (9, 1), (17, 2)])
def test_chunks_that_do_not_cover_the_file_are_refused(size: int, chunks: int) -> None:
    with pytest.raises(VerificationError):
        check_manifest(Manifest(files=(entry("a", size, chunks),)))
