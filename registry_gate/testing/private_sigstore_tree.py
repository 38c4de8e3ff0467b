"""A Merkle tree that really grows, as RFC 6962 has it: hashes, roots, inclusion and consistency proofs."""

from __future__ import annotations

from hashlib import sha256


class MerkleTree:
    """Leaves in order; every answer may be asked for any earlier size."""

    def __init__(self) -> None:
        self.leaves: list[bytes] = []

    def append(self, data: bytes) -> int:
        """Add a leaf; returns its index."""
        self.leaves.append(leaf_hash(data))
        return len(self.leaves) - 1

    def root(self, size: int) -> bytes:
        """The tree head over the first ``size`` leaves."""
        return _root(self.leaves[:size])

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The audit path of a leaf (RFC 6962, 2.1.1). Raises ValueError where the tree has no such leaf."""
        if not 0 <= index < size <= len(self.leaves):
            raise ValueError(f"no leaf {index} in a tree of {size}")
        return _path(index, self.leaves[:size])

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that ``new`` only appended to ``old`` (RFC 6962, 2.1.2). Raises ValueError."""
        if not 0 < old <= new <= len(self.leaves):
            raise ValueError(f"a tree of {new} does not continue one of {old}")
        return _subproof(old, self.leaves[:new], whole=True)


def leaf_hash(data: bytes) -> bytes:
    """How a leaf is hashed, apart from inner nodes, so that neither can stand for the other."""
    return sha256(b"\0" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def _split(count: int) -> int:
    """The largest power of two below ``count``."""
    return 1 << ((count - 1).bit_length() - 1)


def _root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = _split(len(leaves))
    return _node(_root(leaves[:half]), _root(leaves[half:]))


def _path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    half = _split(len(leaves))
    if index < half:
        return [*_path(index, leaves[:half]), _root(leaves[half:])]
    return [*_path(index - half, leaves[half:]), _root(leaves[:half])]


def _subproof(old: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [_root(leaves)]
    half = _split(len(leaves))
    if old <= half:
        return [*_subproof(old, leaves[:half], whole=whole), _root(leaves[half:])]
    return [*_subproof(old - half, leaves[half:], whole=False), _root(leaves[:half])]
