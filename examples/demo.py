"""The main job on a fresh machine: `make admit`.

Builds sample repositories, serves them from a loopback hub, and runs the real command line against it with a
registry, keys and trust of its own under ``./.demo``; nothing of the user's is read or written.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from examples import demo_repositories
from examples.demo_gate import Gate, Row
from registry_gate.testing.hub import LoopbackHub

_DEMO = Path(__file__).resolve().parent.parent / ".demo"


def main() -> int:
    """Run the four acts and print the table; 0 when everything that must hold held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=_DEMO, help="where repositories, keys and registry lie"
    )
    parser.add_argument("--without-behaviour", action="store_true", help="leave out the image classifiers")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    repositories = demo_repositories.build(folder / "repositories", images=not options.without_behaviour)
    with LoopbackHub() as hub:
        repositories.serve(hub)
        gate = Gate(folder, hub.url)
        rows = _benign(gate) + _lookalikes(gate) + _tampered(gate)
        if not options.without_behaviour:
            rows += _image_classifiers(gate, folder / "repositories")
    gate.table(rows)
    return 0 if all(row.held for row in rows if row.must_hold) else 1


def _benign(gate: Gate) -> list[Row]:
    gate.title("1. A benign text classifier, saved as pytorch_model.bin")
    row = gate.admit(demo_repositories.BENIGN, expect="admit")
    return [row, gate.load_and_run(demo_repositories.BENIGN, "the film was great")] if row.held else [row]


def _lookalikes(gate: Gate) -> list[Row]:
    gate.title("2. Look-alike names carrying a pickle that would run a command")
    rows = [gate.admit(name, "--full-report", expect="reject") for name in demo_repositories.LOOKALIKES]
    for row in rows:
        row.held = row.held and not demo_repositories.MARKER.exists()
    return rows


def _tampered(gate: Gate) -> list[Row]:
    gate.title("3. What was admitted, changed afterwards")
    return [
        gate.load_with_one_byte_changed(demo_repositories.BENIGN),
        gate.load_unsigned_under_the_alias(demo_repositories.BENIGN),
    ]


def _image_classifiers(gate: Gate, repositories: Path) -> list[Row]:
    gate.title("4. Two tiny image classifiers through the behaviour tests (statistics: they may miss)")
    probe = demo_repositories.probe_data(repositories)
    rows = []
    for name, expect in demo_repositories.IMAGE_CLASSIFIERS.items():
        row = gate.admit(name, "--probe-data", str(probe), expect=expect)
        row.must_hold = False
        rows.append(row)
    return rows


if __name__ == "__main__":
    sys.exit(main())
