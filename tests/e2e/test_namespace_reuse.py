"""A name that is deleted and taken by somebody else is refused from the log's memory alone."""

from __future__ import annotations

from pathlib import Path

from registry_gate.decision import Verdict
from registry_gate.finding import Status
from registry_gate.testing.hub import LoopbackHub
from tests.e2e.conftest import make_gate


def test_a_repository_made_anew_is_rejected_before_a_byte_is_fetched(tmp_path: Path) -> None:
    with LoopbackHub() as hub:
        gate = make_gate(tmp_path, hub.url)
        hub.add_organisation("taken")
        hub.add_repo("taken/model", {"config.json": b"{}", "notes.txt": b"the first owner's"})
        first = gate.admit("taken/model")
        hub.add_repo("taken/model", {"config.json": b"{}", "notes.txt": b"a next commit"})
        second = gate.admit("taken/model")
        hub.delete_repo("taken/model")
        hub.add_organisation("taken")
        hub.add_repo("taken/model", {"config.json": b"{}", "notes.txt": b"somebody else's"})
        seen = len(hub.requests)
        third = gate.admit("taken/model")
        fetched = [request for request in hub.requests[seen:] if "/resolve/" in request.target]
    statuses = [
        next(check.status for check in report.checks if check.name == "first-seen")
        for report in (first, second, third)
    ]
    assert statuses == [Status.NOT_APPLICABLE, Status.NO_FINDINGS, Status.FINDINGS]
    assert third.verdict is Verdict.REJECT
    assert {finding.rule for finding in third.findings} >= {"namespace-reused"}
    assert fetched == []
