"""Run every benchmark in turn and print what the README quotes; a missed bar is printed as missed."""

from __future__ import annotations

import sys

from benchmarks import (
    audit,
    cold_start,
    conversion,
    drift,
    guard,
    loading,
    name_check,
    raw_pickle,
    scanners,
    stages,
    triage,
)
from benchmarks.bank import __main__ as bank
from benchmarks.text_bank import __main__ as text_bank

_ALL = {
    "names": name_check.main,
    "audit": audit.main,
    "guard": guard.main,
    "scanners": scanners.main,
    "behaviour": bank.main,
    "text-behaviour": text_bank.main,
    "stages": stages.main,
    "conversion": conversion.main,
    "raw-pickle": raw_pickle.main,
    "loading": loading.main,
    "triage": triage.main,
    "drift": drift.main,
    "cold": cold_start.main,
}
_TOGETHER = {"bytes": ("scanners", "raw-pickle", "conversion", "triage", "drift")}
"""``python -m benchmarks bytes``: every bar of what reads, converts and measures bytes, with its peers."""


def main() -> int:
    asked = sys.argv[1:] or list(_ALL)
    chosen = [name for item in asked for name in _TOGETHER.get(item, (item,))]
    unknown = [name for name in chosen if name not in _ALL]
    if unknown:
        sys.stderr.write(
            f"unknown benchmark {', '.join(unknown)}; there are {', '.join([*_ALL, *_TOGETHER])}\n"
        )
        return 1
    failed = []
    for name in chosen:
        print(f"\n== {name} ==", flush=True)
        sys.argv[1:] = []
        try:
            _ALL[name]()
        except Exception as error:  # one benchmark that cannot run must not keep the others' figures back
            print(f"{name}: not measured: {type(error).__name__}: {error}")
            failed.append(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
