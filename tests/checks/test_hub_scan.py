from datetime import UTC, datetime

import pytest

from registry_gate.candidate import Candidate, FileRecord, HubMetadata, Listing, SourceKind
from registry_gate.checks import hub_scan as check
from registry_gate.decision import disposition
from registry_gate.evidence import Evidence
from registry_gate.finding import Confidence, Severity, Status
from registry_gate.policy import Disposition, load_policy

POLICY = load_policy("default")
ASKING = POLICY.model_copy(
    update={"provenance": POLICY.provenance.model_copy(update={"require_hub_scan": True})}
)


def _run(states, issues=(), policy=POLICY, kind=SourceKind.HUB):
    candidate = Candidate(kind=kind, endpoint="https://huggingface.co", id="org/model")
    files = tuple(
        FileRecord(path=f"{number}.bin", size=1, hub_scan=state) for number, state in enumerate(states)
    )
    listing = Listing(
        candidate=candidate,
        resolved_id="org/model",
        commit="a" * 40,
        files=files,
        metadata=HubMetadata(files_with_issues=issues, scans_done=True),
    )
    evidence = Evidence(
        gate_version="0",
        observed_at=datetime.now(UTC),
        candidate=candidate,
        registered_name="x",
        listing=listing,
    )
    return check.run(evidence, policy)


@pytest.mark.parametrize("state", ["unsafe", "infected"])
def test_alarm_rejects(state):
    (finding,) = _run(["safe", state]).findings
    assert (finding.rule, finding.severity, finding.confidence) == (
        "hub-scan-unsafe",
        Severity.HIGH,
        Confidence.HIGH,
    )
    assert finding.location.file == "1.bin"
    assert disposition(finding, POLICY) is Disposition.REJECT


@pytest.mark.parametrize("state", ["suspicious", "caution", "quarantined", ""])
def test_doubt_and_unknown_words_go_to_a_person(state):
    (finding,) = _run([state]).findings
    assert (finding.rule, finding.severity) == ("hub-scan-suspicious", Severity.MEDIUM)
    assert disposition(finding, POLICY) is Disposition.REVIEW


def test_issue_list_counts_too_and_once():
    (finding,) = _run(["safe"], issues=("unsafe:other.bin",)).findings
    assert finding.location.file == "other.bin"
    assert len(_run(["unsafe"], issues=("unsafe:0.bin",)).findings) == 1
    assert _run(["safe"], issues=("unsafe:0.bin",)).status is Status.FINDINGS


def test_pending_and_absent_are_recorded_and_found_only_where_asked_for():
    states = ["safe", "queued", None, "error"]
    result = _run(states)
    assert result.status is Status.NO_FINDINGS
    assert result.measurements == {"files": 4, "safe": 1, "pending": 2, "absent": 1, "scans-done": True}
    (finding,) = _run(states, policy=ASKING).findings
    assert finding.rule == "hub-scan-missing" and "3 of 4" in finding.message
    assert _run(["safe"], policy=ASKING).status is Status.NO_FINDINGS


def test_folder_and_no_listing():
    folder = _run([None], kind=SourceKind.FOLDER)
    assert folder.status is Status.NOT_APPLICABLE and folder.reason


def test_many_alarms_stay_readable():
    assert len(_run(["unsafe"] * 500).findings) <= 20
