"""At most one ordinary checkpoint in twenty is flagged; the report names those that are."""

from collections import Counter

import pytest

from registry_gate.decision import Verdict
from registry_gate.policy import load_policy
from registry_gate.testing.hostile_verdict import verdict
from registry_gate.testing.ordinary import write_ordinary

POLICY = load_policy("default")


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    root = tmp_path_factory.mktemp("ordinary-corpus")
    return [(kind, *verdict(root / kind.target, POLICY)) for kind in write_ordinary(root)]


def test_few_ordinary_checkpoints_are_flagged(judged, capsys):
    counts = Counter(kind.family for kind, _, _ in judged)
    flagged = [(kind, decision) for kind, decision, _ in judged if decision.verdict is not Verdict.ADMIT]
    lost = Counter(kind.family for kind, _ in flagged)
    with capsys.disabled():
        for family, count in counts.items():
            print(f"ordinary {family:<18} {lost[family]:>3} of {count:>3} flagged")
        for kind, decision in flagged:
            print(f"ordinary flagged: {kind.target}: {decision.reasons[0].message[:120]}")
        print(f"ordinary {'all':<18} {len(flagged):>3} of {len(judged):>3} flagged")
    assert len({kind.name for kind, _, _ in judged}) >= 50
    assert len(flagged) <= 0.05 * len(judged)


def test_nothing_ordinary_is_called_unreadable(judged):
    codes = {
        finding.rule
        for kind, _, evidence in judged
        for result in evidence.results
        for finding in result.findings
    }
    assert not codes & {"reader-failed", "unknown-problem", "pickle-not-understood", "zip-malformed"}
