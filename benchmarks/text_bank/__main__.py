"""Trains what is missing of the text bank, measures it and prints the report."""

from __future__ import annotations

from benchmarks.text_bank import report, score, train


def main() -> None:
    """All three in turn; each goes on where it was stopped."""
    train.main()
    score.main()
    report.main()


if __name__ == "__main__":
    main()
