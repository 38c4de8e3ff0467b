"""``python -m registry_gate`` and the ``registry-gate`` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with 0 (admit, verified), 2 (not admitted) or 1 (no decision)."""
    from registry_gate.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
