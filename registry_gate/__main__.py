"""``python -m registry_gate`` and the ``registry-gate`` command."""

from __future__ import annotations

import io
import os
import sys


def main() -> None:
    """Run the command line and exit with 0 (admit, verified), 2 (not admitted) or 1 (no decision)."""
    _open_standard_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A result is UTF-8 wherever it goes; in an ASCII locale it would fail after the model was admitted.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    from registry_gate.cli.app import run

    sys.exit(run(sys.argv[1:]))


def _open_standard_streams() -> None:
    """Where a stream was closed, its number would go to the next file opened: a database, the log."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - for the whole process
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


if __name__ == "__main__":
    main()
