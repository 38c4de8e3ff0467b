"""What the guard costs: the import of `transformers`, and Python's own start; interleaved pairs.

python -m benchmarks.guard [ROUNDS]
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys

ROUNDS = 15
BAR = 1.05
HEAVY = "from transformers import AutoModel, AutoTokenizer"


def cpu_of(program: str, guarded: bool) -> float:
    """CPU seconds of one fresh Python process, children included: wall time says little on a busy machine."""
    environment = {
        name: text for name, text in os.environ.items() if not name.startswith("REGISTRY_GATE_GUARD")
    }
    if guarded:
        environment["REGISTRY_GATE_GUARD"] = "1"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def pairs(program: str, rounds: int) -> tuple[float, float, float]:
    """Median CPU seconds without and with the guard, and of the pairs' ratios; order alternates."""
    cpu_of(program, False)
    bare, guarded = [], []
    for number in range(rounds):
        for one in (False, True) if number % 2 else (True, False):
            (guarded if one else bare).append(cpu_of(program, one))
    ratios = [with_ / without for with_, without in zip(guarded, bare, strict=True)]
    return statistics.median(bare), statistics.median(guarded), statistics.median(ratios)


def main() -> int:
    """Print the figures; exit status 2 where the bar is missed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    bare, guarded, ratio = pairs(HEAVY, rounds)
    figures = f"{bare:.2f} s bare, {guarded:.2f} s guarded, ratio {ratio:.3f} (bar {BAR})"
    print(f"import of transformers, CPU: {figures}")
    empty, started, _ = pairs("pass", rounds)
    print(f"start of Python, CPU: {empty * 1000:.0f} ms bare, {started * 1000:.0f} ms guarded")
    return 0 if ratio < BAR else 2


if __name__ == "__main__":
    sys.exit(main())
