"""Answers of a hub as plain values: what is kept, what is sifted, what is never taken for safe."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.errors import FetchError
from registry_gate.sources.connection import Document
from registry_gate.sources.hub_wire import metadata, read_info, read_page, scan_status

INFO = {"id": "org/model", "sha": "a" * 40}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def _document(value):
    return Document(json.dumps(value).encode(), None, None)


@given(ANYTHING, ANYTHING, ANYTHING)
def test_whatever_an_uploader_writes_gives_a_record(card, tags, security):
    info = read_info(_document({**INFO, "cardData": card, "tags": tags, "securityRepoStatus": security}))
    metadata(info, None, None).digest()


@given(ANYTHING)
def test_any_scan_gives_a_word_or_none(security):
    assert scan_status(security) is None or isinstance(scan_status(security), str)


@given(st.binary(max_size=200))
def test_noise_is_a_fetch_error(data):
    for read in (read_info, read_page):
        with pytest.raises(FetchError):
            read(Document(b"x" + data, None, None))


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        (None, None),
        ({"status": "safe"}, "safe"),
        ({"status": "safe", "avScan": {"status": "unsafe"}}, "unsafe"),
        ({"status": "safe", "pickleImportScan": {"status": "suspicious"}}, "suspicious"),
        ({"status": "safe", "avScan": {"status": "safe"}, "jFrogScan": {"status": "unscanned"}}, "safe"),
        ({"status": "queued", "avScan": {"status": "safe"}}, "queued"),
        ({"status": "safe", "avScan": {"virusFound": True, "virusNames": ["Eicar"]}}, "infected"),
        ({"status": "safe", "avScan": {"virusFound": False, "virusNames": None}}, "safe"),
        ({"status": "safe", "pickleImportScan": {"highestSafetyLevel": "dangerous"}}, "unsafe"),
        ({"status": "safe", "newScan": {"status": "quarantined"}}, "quarantined"),
        ({"status": "UNSAFE"}, "unsafe"),
    ],
)
def test_the_worst_word_counts(security, expected):
    assert scan_status(security) == expected


def test_card_is_read_and_tags_fill_in():
    stated = {
        **INFO,
        "cardData": {"license": ["mit", "apache-2.0"], "base_model": "google/base"},
        "tags": ["license:other", "base_model:finetune:google/base", "base_model:meta/other"],
        "createdAt": "2024-03-01T10:00:00.000Z",
        "gated": "auto",
        "securityRepoStatus": {
            "scansDone": False,
            "filesWithIssues": [{"path": "a.bin", "level": "unsafe"}, "b"],
        },
    }
    said = metadata(read_info(_document(stated)), None, 3)
    assert said.licence == "mit AND apache-2.0"
    assert said.base_models == ("google/base", "meta/other")
    assert said.created_at.year == 2024 and said.created_at.tzinfo is not None
    assert said.gated is True and said.scans_done is False and said.commits == 3
    assert said.files_with_issues == ("unsafe:a.bin", "unsafe:b")
    tagged = metadata(read_info(_document({**INFO, "tags": ["license:gemma"]})), None, None)
    assert tagged.licence == "gemma"


@pytest.mark.parametrize("broken", [{}, {"id": "x"}, {**INFO, "sha": "main"}, {**INFO, "private": "no"}, []])
def test_description_that_makes_no_sense(broken):
    with pytest.raises(FetchError) as caught:
        read_info(_document(broken))
    assert caught.value.code == "hub-answer-not-understood"
