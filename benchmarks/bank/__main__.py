"""The whole image bank: train what is missing, measure, decide the grey zone, and print the reporting half.

    python -m benchmarks.bank [--fit]

Resumable at every step; about an hour of one core from nothing. ``--fit`` also writes the coefficients,
thresholds and curve of ``benchmarks.bank.fit`` before the grey zone is decided.
"""

from __future__ import annotations

import sys

from benchmarks.bank import fit, peers, report, score, train


def main() -> None:
    """Run the steps in order."""
    wanted = "--fit" in sys.argv[1:]
    steps = [(train.main, []), (score.main, [])]
    steps += [(fit.main, [])] * wanted
    steps += [(score.main, ["--half", "report", "--decide"]), (peers.main, []), (report.main, [])]
    for step, arguments in steps:
        sys.argv[1:] = arguments
        step()


if __name__ == "__main__":
    main()
