"""The checker: is this the flag of that challenge?

    python -m examples.drill.flags FOLDER CHALLENGE FLAG

Exit status 0: captured; 2: not; 1: no such challenge. Hashes are salted and slow (scrypt),
so that guessing is more work than looking; flags of few possible answers can be guessed all the same.
"""

from __future__ import annotations

import hashlib
import hmac
import sys
from pathlib import Path

from pydantic import ValidationError

from registry_gate.record import Record


class Flags(Record):
    """Hashes of the flags of one game."""

    seed: int
    hashes: dict[str, str]


def hashed(challenge: str, seed: int, flag: str) -> str:
    """scrypt of a flag, salted with its challenge and game."""
    salt = f"registry-gate-drill:{challenge}:{seed}".encode()
    return hashlib.scrypt(flag.strip().encode(), salt=salt, n=1 << 14, r=8, p=1).hex()


def captured(flags: Flags, challenge: str, flag: str) -> bool:
    """Whether it is the flag. Raises KeyError where there is no such challenge."""
    bare = flag.strip().removeprefix("flag{").removesuffix("}")
    return hmac.compare_digest(flags.hashes[challenge], hashed(challenge, flags.seed, bare))


def main(arguments: list[str]) -> int:
    """Say whether the flag is right."""
    try:
        folder, challenge, flag = arguments
        flags = Flags.from_json((Path(folder) / "flags.json").read_bytes())
        right = captured(flags, challenge, flag)
    except (ValueError, OSError, KeyError, ValidationError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n{__doc__}\n")
        return 1
    sys.stdout.write(f"{challenge}: {'captured' if right else 'not yet'}\n")
    return 0 if right else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
