"""The bars of the audit on the evaluation set, which no rule was built on."""

from __future__ import annotations

from benchmarks.audit import evaluate


def test_recall_and_false_alarms_hold() -> None:
    judged = evaluate()
    bypasses = [one for one in judged if one.bypass]
    harmless = [one for one in judged if not one.bypass]
    assert len(bypasses) >= 80
    assert len(harmless) >= 80
    assert sum(one.right for one in bypasses) / len(bypasses) >= 0.95
    assert sum(not one.right for one in harmless) / len(harmless) <= 0.02
