"""Runs every way round the road, or every ordinary program, in this process under the guard; prints JSON."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path


def main() -> None:
    kind, folder = sys.argv[1], Path(sys.argv[2])
    os.chdir(folder)
    if kind == "bypasses":
        from tests.enforce.guard import bypasses as cases

        cases.prepare(folder)
        chosen = [(code, one) for code, several in cases.EXPECTED.items() for one in several]
    else:
        from tests.enforce.guard import ordinary

        ordinary.prepare(folder)
        chosen = [("", one) for one in ordinary.PROGRAMS]
    from registry_gate.enforce import guard

    events: list[guard.Event] = []
    terms = guard.Terms(events=str(folder / "events.jsonl"), addresses=frozenset({"198.51.100.7"}))
    guard.install(terms, on_refusal=events.append)
    results = []
    for code, case in chosen:
        events.clear()
        raised = ""
        try:
            case(folder)
        except guard.GuardRefused as error:
            raised = error.code
        except BaseException as error:
            raised = f"{type(error).__name__}: {error}"
            if kind == "ordinary":
                traceback.print_exc()
        seen = [event.code for event in events]
        results.append({"case": case.__name__, "expected": code, "raised": raised, "events": seen})
    Path(sys.argv[3]).write_text(json.dumps({"results": results, "marker": (folder / "marker").exists()}))


if __name__ == "__main__":
    main()
