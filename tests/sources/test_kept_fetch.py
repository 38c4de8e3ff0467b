"""A download that was killed: what had come is hashed again and gone on with, or fetched anew."""

from __future__ import annotations

import pytest

from registry_gate.errors import Refused
from registry_gate.testing.hub import Tamper

BIG = bytes(range(256)) * 12_000
FILES = {"a/model.bin": BIG, "config.json": b"{}"}


@pytest.fixture
def listed(hub, source, policy):
    hub.add_repo("org/model", FILES)
    return source().resolve(policy)


@pytest.fixture
def kept(tmp_path):
    (tmp_path / "kept" / "a").mkdir(parents=True)
    return tmp_path / "kept"


def fetched(hub, source, policy, listed, tmp_path, kept):
    """Fetch, check the bytes, and say which ranges of the large file were asked for."""
    before, seen = len(hub.requests), []
    snapshot = source().fetch(listed, tmp_path / "in", policy, lambda _, done, __: seen.append(done), kept)
    for path, data in FILES.items():
        assert (snapshot.root / path).read_bytes() == data
    assert seen[-1] == listed.total_size and max(seen) == listed.total_size
    asked = [item for item in hub.requests[before:] if "model.bin" in item.target and item.method == "GET"]
    return [item.headers.get("range") for item in asked]


def test_a_whole_file_is_not_asked_for_again(hub, source, policy, listed, tmp_path, kept):
    (kept / "a/model.bin").write_bytes(BIG)
    assert fetched(hub, source, policy, listed, tmp_path, kept) == []


def test_half_a_file_is_gone_on_with(hub, source, policy, listed, tmp_path, kept):
    (kept / "a/model.bin").write_bytes(BIG[:1_000_000])
    assert fetched(hub, source, policy, listed, tmp_path, kept) == ["bytes=1000000-"]


@pytest.mark.parametrize("size", [1_000_000, len(BIG)], ids=["half", "whole"])
def test_bytes_that_are_not_the_listed_ones_are_fetched_anew(
    hub, source, policy, listed, tmp_path, kept, size
):
    (kept / "a/model.bin").write_bytes(b"\xff" + BIG[1:size])
    asked = fetched(hub, source, policy, listed, tmp_path, kept)
    assert asked[-1] in (None, "bytes=0-")


@pytest.mark.parametrize("kind", ["longer", "link", "empty"])
def test_what_cannot_be_half_of_it_is_left(hub, source, policy, listed, tmp_path, kept, kind):
    secret = tmp_path / "secret"
    secret.write_bytes(BIG)
    place = kept / "a/model.bin"
    if kind == "link":
        place.symlink_to(secret)
    else:
        place.write_bytes(BIG + b"x" if kind == "longer" else b"")
    assert fetched(hub, source, policy, listed, tmp_path, kept) in ([None], ["bytes=0-"])
    assert secret.read_bytes() == BIG


def test_a_source_that_lies_is_refused_whatever_was_kept(hub, source, policy, listed, tmp_path, kept):
    (kept / "a/model.bin").write_bytes(BIG[:1_000_000])
    hub.tamper("org/model", "a/model.bin", Tamper(flip_at=2_000_000))
    with pytest.raises(Refused) as caught:
        source().fetch(listed, tmp_path / "in", policy, lambda *_: None, kept)
    assert caught.value.code == "bytes-differ-from-listing"
