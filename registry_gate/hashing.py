"""The digest algorithms that statements may name: an explicit list, nothing guessed from the digits.

sha256 is what the public tools know: ``model.sig``, the hub's listings and every file's own digest. It is one
chain from first byte to last. BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn 2020, "BLAKE3: one function,
fast everywhere", section 4.1) stands beside it for tensors and the chunks made of them: with the 256 bits
used here it claims 128 bits of security against collisions, as sha256 has, and takes about a quarter of its
time. It is no NIST standard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Protocol

from blake3 import blake3
from pydantic import StringConstraints

SHA256: Literal["sha256"] = "sha256"
BLAKE3: Literal["blake3"] = "blake3"

Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A digest of 256 bits, of whichever algorithm is named beside it."""
AlgorithmName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
"""A name to be looked for in :data:`ALGORITHMS`, which may not hold it."""


class Hash(Protocol):
    """What hashes bytes as they come; both libraries let go of the interpreter's lock meanwhile."""

    def update(self, data: bytes | bytearray | memoryview, /) -> object:
        """Take in the next bytes."""

    def hexdigest(self) -> str:
        """The digest of all bytes so far, 64 hexadecimal digits."""


ALGORITHMS: Mapping[str, Callable[[], Hash]] = MappingProxyType({SHA256: hashlib.sha256, BLAKE3: blake3})
"""The allow-list: a new hash of each algorithm that may be named. Everything else is refused."""


def is_sha256(algorithm: str) -> bool:
    """True for what is not written down: statements without the field were made before it was there."""
    return algorithm == SHA256
