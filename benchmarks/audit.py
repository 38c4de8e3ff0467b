"""`registry-gate audit`: recall and false alarms on the evaluation set, and its speed.

python -m benchmarks.audit             # all of it
python -m benchmarks.audit --misses    # and each case that was judged wrongly
"""

from __future__ import annotations

import csv
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from registry_gate.enforce.audit.audit import Rulebook, audit
from registry_gate.enforce.audit.standing import Ledger
from registry_gate.policy import load_policy

DATA = Path(__file__).parent / "data" / "audit"
NEAR = 2
LINES = 100_000


@dataclass(frozen=True)
class Judged:
    """One case of the evaluation set and what the audit said of it."""

    file: str
    bypass: bool
    right: bool
    said: tuple[str, ...]

    @property
    def kind(self) -> str:
        return self.file.split("/")[1]


def judge(file: str, label: str, line: int, rulebook: Rulebook) -> Judged:
    """A bypass is found by an open finding on its line, give or take two; a look-alike must give none."""
    report = audit([DATA / file], rulebook)
    places = [(item.line, item.rule) for item in report.open]
    near = [place for place in places if not line or abs(place[0] - line) <= NEAR]
    right = bool(near) if label == "bypass" else not places
    return Judged(file, label == "bypass", right, tuple(f"{number}:{rule}" for number, rule in places))


def evaluate() -> list[Judged]:
    """Every case of the evaluation set."""
    rulebook = Rulebook(Ledger(), load_policy("default").protected)
    with (DATA / "labels.csv").open(encoding="utf-8", newline="") as file:
        return [judge(row["file"], row["label"], int(row["line"]), rulebook) for row in csv.DictReader(file)]


def speed() -> tuple[int, int, float, float]:
    """Files, lines, CPU seconds of the whole audit and of ``ast.parse`` alone over installed library code."""
    import ast

    import numpy

    files: list[Path] = []
    lines = 0
    for path in sorted(Path(numpy.__file__).parent.parent.rglob("*.py")):
        if lines >= LINES:
            break
        if "/tests/" in path.as_posix() or not path.is_file():
            continue
        files.append(path)
        lines += path.read_bytes().count(b"\n")
    rulebook = Rulebook(Ledger(), load_policy("default").protected)
    began = time.process_time()
    audit(files, rulebook)
    spent = time.process_time() - began
    began = time.process_time()
    for path in files:
        try:
            ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
    return len(files), lines, spent, time.process_time() - began


def main() -> int:
    """Print the figures; exit status 2 where a bar is missed."""
    judged = evaluate()
    bypasses = [one for one in judged if one.bypass]
    harmless = [one for one in judged if not one.bypass]
    recall = sum(one.right for one in bypasses) / len(bypasses)
    alarms = sum(not one.right for one in harmless) / len(harmless)
    print(f"ways round the road found     {recall:.3f} of {len(bypasses)} (bar 0.95)")
    print(f"look-alikes taken for one     {alarms:.3f} of {len(harmless)} (bar 0.02)")
    missed = Counter(one.kind for one in judged if not one.right)
    print(f"judged wrongly, by kind       {dict(missed) or 'none'}")
    if "--misses" in sys.argv:
        for one in judged:
            if not one.right:
                print(f"  {one.file}: {', '.join(one.said) or 'nothing found'}")
    files, lines, spent, parsing = speed()
    print(f"{lines} lines of Python in {files} files: {spent:.2f} s of CPU on one core (bar 10 s);"
          f" ast.parse alone {parsing:.2f} s, ratio {spent / parsing:.2f}")  # fmt: skip
    return 0 if recall >= 0.95 and alarms <= 0.02 and spent * LINES / lines < 10 else 2


if __name__ == "__main__":
    sys.exit(main())
