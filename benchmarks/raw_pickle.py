"""A raw 200 MB pickle of 4,000 arrays: seconds and memory of the reader, of ``describe``, of picklescan.

Each run is a process of its own, interleaved; memory is the peak above what the imports took.

    python -m benchmarks.raw_pickle [ROUNDS]
"""

from __future__ import annotations

import json
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.processes import peak_mb

_ARRAYS, _SIDE = 4000, 80
_NAMES = {
    "reader": "gate: the symbolic machine",
    "describe": "gate: all of describe (with picklescan beside it)",
    "picklescan": "picklescan 1.0.5",
}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory(prefix="raw-pickle-") as name:
        path = Path(name) / "arrays.pkl"
        size = _build(path)
        print(f"raw pickle of {size / 1e6:.0f} MB, {_ARRAYS} arrays, {rounds} rounds")
        found: dict[str, list[tuple[float, float]]] = {what: [] for what in _NAMES}
        for _ in range(rounds):
            for what in _NAMES:
                command = [sys.executable, "-m", "benchmarks.raw_pickle", what, str(path)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                seconds, memory = json.loads(done.stdout)
                found[what].append((seconds, memory))
    for what, runs in found.items():
        seconds = statistics.median(item[0] for item in runs)
        ratio = statistics.median(
            own[0] / other[0] for own, other in zip(runs, found["picklescan"], strict=True)
        )
        memory = max(item[1] for item in runs)
        print(f"{_NAMES[what]:52} {seconds:6.2f} s {ratio:5.2f} x picklescan {memory:6.0f} MiB")
        if what != "picklescan":
            print(f"bar: no slower than twice picklescan: {ratio:.2f} {'met' if ratio <= 2 else 'MISSED'}")


def _build(path: Path) -> int:
    import numpy as np

    generator = np.random.default_rng(0)
    document = {f"w{number}": generator.random((_SIDE, _SIDE)) for number in range(_ARRAYS)}
    with path.open("wb") as file:
        pickle.dump(document, file, protocol=4)
    return path.stat().st_size


def _measure(what: str, path: Path) -> None:
    runs: dict[str, Callable[[], object]]
    from picklescan.scanner import scan_file_path

    from registry_gate.evidence import FileFormat
    from registry_gate.formats import ReaderLimits, describe
    from registry_gate.formats.pickle_file import read_pickles

    runs = {
        "reader": lambda: read_pickles(path, path.name, FileFormat.PICKLE, ReaderLimits()),
        "describe": lambda: describe(path, path.name, ReaderLimits()),
        "picklescan": lambda: scan_file_path(str(path)),
    }
    floor, started = peak_mb(), time.perf_counter()
    runs[what]()
    print(json.dumps([time.perf_counter() - started, peak_mb() - floor]))


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in _NAMES:
        _measure(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
