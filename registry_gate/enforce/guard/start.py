"""Imported by ``registry_gate_guard.pth`` at the start of each Python process that asks for the guard.

A process that asks for the guard and cannot have it ends here: it would run unguarded.
"""

from __future__ import annotations

import os
import sys


def start() -> None:
    """Install the guard as the environment says, or end the process with status 1."""
    try:
        from registry_gate.enforce.guard import install_if_wanted

        install_if_wanted()
    except BaseException as error:  # site would report it and go on without the guard
        sys.stderr.write(f"registry-gate: the guard could not be installed: {error}\n")
        sys.stderr.flush()
        os._exit(1)


start()
