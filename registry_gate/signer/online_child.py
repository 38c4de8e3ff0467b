"""The signer that has to talk to services: Sigstore, or a time stamp authority.

It is a process apart in an environment of its own making, but it is not confined: it needs the network. With
Sigstore there is no key to steal from it afterwards; with a certificate the confined signer is used unless
the settings name a time stamp authority.
"""

from __future__ import annotations

import os
import sys

from registry_gate.signer.answering import answer
from registry_gate.signer.protocol import MAX_REQUEST


def main() -> None:
    """Read one request, write one answer; whatever libraries print goes to stderr."""
    channel = os.dup(1)
    os.dup2(2, 1)
    os.umask(0o077)
    said = answer(sys.stdin.buffer.read(MAX_REQUEST + 1))
    with os.fdopen(channel, "wb") as out:
        out.write(said)


if __name__ == "__main__":
    main()
