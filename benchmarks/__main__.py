"""Run every benchmark in turn and print what the README quotes; a missed bar is printed as missed."""

from __future__ import annotations

import sys

from benchmarks import behaviour, cold_start, conversion, name_check, scanners, stages, triage

_ALL = {
    "names": name_check.main,
    "scanners": scanners.main,
    "behaviour": behaviour.main,
    "stages": stages.main,
    "conversion": conversion.main,
    "triage": triage.main,
    "cold": cold_start.main,
}


def main() -> int:
    chosen = sys.argv[1:] or list(_ALL)
    unknown = [name for name in chosen if name not in _ALL]
    if unknown:
        sys.stderr.write(f"unknown benchmark {', '.join(unknown)}; there are {', '.join(_ALL)}\n")
        return 1
    for name in chosen:
        print(f"\n== {name} ==", flush=True)
        sys.argv[1:] = []
        _ALL[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
