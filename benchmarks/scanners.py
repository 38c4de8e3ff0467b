"""Recall and false alarms of scan beside picklescan, modelscan, fickling and modelaudit, on the two corpora.

Each peer runs in an environment of its own below benchmarks/results/envs, through its own command line, with
a time-out a file. Any status but 0 counts as flagged: an error is no clean answer. The corpora are ours, so
the figures favour us; the families show where. fickling's command line opens no zip, and modelaudit trusts an
import more where the imported package is installed, which torch is not in its environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.environments import PEERS, environment
from registry_gate.decision import Verdict
from registry_gate.policy import load_policy
from registry_gate.testing.hostile_corpus import write_corpus
from registry_gate.testing.hostile_verdict import verdict
from registry_gate.testing.ordinary import write_ordinary

DRIVER = Path(__file__).resolve().parent / "scanner_driver.py"
_SECONDS = 1800


def peer_codes(name: str, targets: list[str], home: str) -> dict[str, int]:
    """Exit status by target; targets that the peer never answered for are left out."""
    python = environment(name)
    if python is None:
        return {}
    quiet = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_COLOR": "1", "HOME": home, "PATH": os.environ["PATH"]}
    command = [str(python), str(DRIVER), name]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(targets),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env=quiet,
            cwd=home,  # fickling leaves a report where it is run
            check=False,
        )
        output = done.stdout
    except subprocess.TimeoutExpired as late:
        output = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""
    lines = (json.loads(line) for line in output.splitlines() if line.startswith("["))
    return dict(lines)


def own_codes(targets: list[str]) -> dict[str, int]:
    """What ``scan`` decides, in this process."""
    policy = load_policy("default")
    return {
        target: 0 if verdict(Path(target), policy)[0].verdict is Verdict.ADMIT else 2 for target in targets
    }


def table(title: str, families: dict[str, str], codes: dict[str, dict[str, int]]) -> None:
    totals = Counter(families.values())
    print(f"\n{title:<22}" + "".join(f"{name:>15}" for name in codes))
    rows = [*totals, "all"]
    for family in rows:
        members = [target for target, own in families.items() if family in (own, "all")]
        cells = (f"{sum(found.get(t, 0) != 0 for t in members)}/{len(members)}" for found in codes.values())
        print(f"{family:<22}" + "".join(f"{cell:>15}" for cell in cells))
    shares = (sum(found.get(t, 0) != 0 for t in families) / len(families) for found in codes.values())
    print(f"{'share':<22}" + "".join(f"{share:>15.1%}" for share in shares))
    for name, found in codes.items():
        statuses = dict(sorted(Counter(found[target] for target in families if target in found).items()))
        print(f"  {name}: statuses {statuses}, unanswered {sum(target not in found for target in families)}")


def _bars(hostile: dict[str, str], ordinary: dict[str, str], own: dict[str, int]) -> None:
    found = sum(own[target] == 2 for target in hostile) / len(hostile)
    flagged = sum(own[target] != 0 for target in ordinary) / len(ordinary)
    kinds = len({target.rpartition("/")[0] or target for target in ordinary})
    families = len(set(hostile.values()))
    enough = len(hostile) >= 150 and families >= 15 and kinds >= 50
    for bar, value, holds in (
        (f"at least 98 % of {len(hostile)} hostile cases in {families} families", found, found >= 0.98),
        (f"at most 5 % of {len(ordinary)} ordinary files of {kinds} kinds", flagged, flagged <= 0.05),
    ):
        print(f"bar: {bar}: {value:.1%} {'met' if holds and enough else 'MISSED'}")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        marker = root / "marker"
        hostile = {
            str(root / "hostile" / case.target): case.family
            for case in write_corpus(root / "hostile", f"touch {marker}")
        }
        ordinary = {
            str(root / "ordinary" / kind.target): kind.family for kind in write_ordinary(root / "ordinary")
        }
        targets = [*hostile, *ordinary]
        codes: dict[str, dict[str, int]] = {}
        for name in ("registry_gate", *PEERS):
            started = time.perf_counter()
            codes[name] = (
                own_codes(targets) if name == "registry_gate" else peer_codes(name, targets, scratch)
            )
            print(f"{name}: {time.perf_counter() - started:.0f} s for {len(targets)} targets", flush=True)
        table("hostile, flagged", hostile, codes)
        table("ordinary, flagged", ordinary, codes)
        _bars(hostile, ordinary, codes["registry_gate"])
        print(f"\na payload ran: {marker.exists()}")


if __name__ == "__main__":
    main()
