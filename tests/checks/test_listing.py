import pytest

from registry_gate.candidate import Candidate, FileRecord, Listing, SourceKind
from registry_gate.checks import listing as check
from registry_gate.checks.check import Stage
from registry_gate.evidence import Evidence
from registry_gate.finding import Confidence, Severity, Status
from registry_gate.policy import load_policy

HUB = Candidate(kind=SourceKind.HUB, endpoint="https://huggingface.co", id="org/model")
FOLDER = Candidate(kind=SourceKind.FOLDER, endpoint="", id="ours/model")


def _evidence(now, candidate=HUB, files=(("config.json", 2),), resolved_id=None):
    listing = Listing(
        candidate=candidate,
        resolved_id=resolved_id or candidate.id,
        commit="a" * 40,
        files=tuple(FileRecord(path=path, size=size, blob_id="b" * 40) for path, size in files),
    )
    return Evidence(
        gate_version="0", observed_at=now, candidate=candidate, registered_name="org--model", listing=listing
    )


@pytest.fixture
def now():
    from datetime import UTC, datetime

    return datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def policy():
    return load_policy("default")


def test_clean_listing_has_no_findings(now, policy):
    result = check.run(_evidence(now, files=(("a/b.txt", 5), ("c", 7))), policy)
    assert result.status is Status.NO_FINDINGS
    assert result.measurements == {"files": 2, "bytes": 12}
    assert check.CHECK.stage is Stage.METADATA


def test_no_listing_was_not_run(now, policy):
    evidence = _evidence(now).model_copy(update={"listing": None})
    result = check.run(evidence, policy)
    assert result.status is Status.NOT_RUN and result.reason


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ((("../x", 1),), "unsafe-path"),
        ((("a", 1), ("A", 1)), "path-collision"),
        ((), "empty-repository"),
        (tuple((f"{number}", 0) for number in range(2001)), "over-limit"),
        ((("a", 107374182401),), "over-limit"),
        (tuple((f"{number}", 107374182400) for number in range(6)), "over-limit"),
    ],
)
def test_hazards_reject_by_default(now, policy, files, rule):
    result = check.run(_evidence(now, files=files), policy)
    assert {finding.rule for finding in result.findings} == {rule}
    finding = result.findings[0]
    assert (finding.severity, finding.confidence) == (Severity.HIGH, Confidence.HIGH)
    assert rule in {known.id for known in check.CHECK.rules}


@pytest.mark.parametrize("said", ["org/other", "Org/model", "org/model2"])
def test_other_id(now, policy, said):
    result = check.run(_evidence(now, resolved_id=said), policy)
    assert [finding.rule for finding in result.findings] == ["redirected-id"]
    assert said in result.findings[0].message


def test_endpoint_of_a_hub_must_be_listed_a_folder_has_none(now, policy):
    strange = HUB.model_copy(update={"endpoint": "https://huggingface.co.evil.example"})
    result = check.run(_evidence(now, candidate=strange), policy)
    assert [finding.rule for finding in result.findings] == ["endpoint-not-allowed"]
    assert check.run(_evidence(now, candidate=FOLDER), policy).status is Status.NO_FINDINGS


def test_many_hazards_stay_readable(now, policy):
    files = tuple((f"../{'x' * 900}{number}\x1b[2J", 1) for number in range(500))
    result = check.run(_evidence(now, files=files), policy)
    assert len(result.findings) == 21 and "480 more" in result.findings[-1].message
    assert all(len(finding.message) < 400 for finding in result.findings)
    assert "\x1b" not in "".join(finding.message for finding in result.findings)
