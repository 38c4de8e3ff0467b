"""The double's Merkle tree against RFC 6962's own verification, and the double's own refusals."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.testing.private_sigstore import PrivateSigstore
from registry_gate.testing.private_sigstore_tree import MerkleTree, leaf_hash


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def root_from(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """RFC 9162, 2.1.3.2: the root that an inclusion proof leads to."""
    number, last, found = index, size - 1, leaf
    for step in path:
        assert last > 0
        if number & 1 or number == last:
            found = node(step, found)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            found = node(found, step)
        number, last = number >> 1, last >> 1
    assert last == 0
    return found


def heads_from(old: int, new: int, old_root: bytes, path: list[bytes]) -> tuple[bytes, bytes]:
    """RFC 9162, 2.1.4.2: the two roots that a consistency proof leads to."""
    if old == new:
        return old_root, old_root
    steps = [old_root, *path] if old & (old - 1) == 0 else list(path)
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        assert last > 0
        if first & 1 or first == last:
            before, after = node(step, before), node(step, after)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            after = node(after, step)
        first, last = first >> 1, last >> 1
    return before, after


@given(st.integers(1, 70), st.data())
def test_every_leaf_is_proven_in_every_tree_that_holds_it(size: int, data: st.DataObject) -> None:
    tree = MerkleTree()
    for number in range(size):
        tree.append(str(number).encode())
    held = data.draw(st.integers(1, size))
    index = data.draw(st.integers(0, held - 1))
    leaf = leaf_hash(str(index).encode())
    assert root_from(index, held, leaf, tree.inclusion(index, held)) == tree.root(held)
    old = data.draw(st.integers(1, held))
    assert heads_from(old, held, tree.root(old), tree.consistency(old, held)) == (
        tree.root(old),
        tree.root(held),
    )


def test_a_tree_that_shrank_has_no_proof() -> None:
    tree = MerkleTree()
    for number in range(5):
        tree.append(bytes((number,)))
    for ask in (lambda: tree.consistency(5, 3), lambda: tree.inclusion(4, 3), lambda: tree.inclusion(0, 9)):
        with pytest.raises(ValueError, match="tree"):
            ask()


def post(url: str, body: bytes, token: str = "") -> int:
    request = urllib.request.Request(url, body, {"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("path", ["/api/v2/signingCert", "/api/v2/log/entries", "/api/v1/timestamp", "/x"])
@pytest.mark.parametrize(
    "body", [b"", b"{}", b"\xff" * 50, json.dumps({"hashedRekordRequestV002": 1}).encode()]
)
def test_the_services_refuse_what_is_no_request(path: str, body: bytes) -> None:
    with PrivateSigstore() as sigstore:
        assert post(sigstore.url + path, body, sigstore.token("a@b.example")) in (400, 404)
        assert not sigstore.log.tree.leaves


def test_the_authority_takes_no_token_of_another_provider() -> None:
    with PrivateSigstore() as sigstore, PrivateSigstore() as other:
        for token in ("", other.token("a@b.example"), sigstore.token("a@b.example", minutes=-1)):
            assert post(f"{sigstore.url}/api/v2/signingCert", b"{}", token) == 400
