from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.candidate import Candidate, FileRecord, HubMetadata, Listing, SourceKind
from registry_gate.checks import provenance as check
from registry_gate.decision import disposition
from registry_gate.evidence import Evidence
from registry_gate.finding import Severity, Status
from registry_gate.policy import Disposition, load_policy

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=900)
POLICY = load_policy("default")


def _policy(**changes):
    return POLICY.model_copy(update={"provenance": POLICY.provenance.model_copy(update=changes)})


def _evidence(metadata, kind=SourceKind.HUB, model_id="org/model", endpoint="https://huggingface.co"):
    candidate = Candidate(kind=kind, endpoint=endpoint if kind is SourceKind.HUB else "", id=model_id)
    listing = Listing(
        candidate=candidate,
        resolved_id=model_id,
        commit="a" * 40,
        files=(FileRecord(path="a", size=1, blob_id="b" * 40),),
        metadata=metadata,
    )
    return Evidence(
        gate_version="0", observed_at=NOW, candidate=candidate, registered_name="x", listing=listing
    )


def _rules(metadata, policy=POLICY, **options):
    return [finding.rule for finding in check.run(_evidence(metadata, **options), policy).findings]


def test_old_ordinary_repository_has_no_findings():
    assert _rules(HubMetadata(created_at=OLD)) == []


@pytest.mark.parametrize(
    ("created", "rules"),
    [
        (NOW - timedelta(days=7), []),
        (NOW - timedelta(days=6, hours=23), ["new-repository"]),
        (NOW + timedelta(days=1), ["new-repository"]),
        (None, ["age-unknown"]),
    ],
)
def test_age_counts_from_the_observation(created, rules):
    assert _rules(HubMetadata(created_at=created)) == rules
    assert _rules(HubMetadata(created_at=created), _policy(min_age_days=0)) == []


@pytest.mark.parametrize("verified", [True, False, None])
def test_verified_owner_is_asked_for_by_policy_only(verified):
    metadata = HubMetadata(created_at=OLD, owner_verified=verified)
    assert _rules(metadata) == []
    expected = [] if verified is True else ["owner-not-verified"]
    assert _rules(metadata, _policy(require_verified_organisation=True)) == expected


def test_state_of_the_repository():
    assert _rules(HubMetadata(created_at=OLD, gated=True)) == []
    assert _rules(HubMetadata(created_at=OLD, gated=True), _policy(allow_gated=False)) == ["gated-repository"]
    disabled = check.run(_evidence(HubMetadata(created_at=OLD, disabled=True)), POLICY).findings
    assert [finding.rule for finding in disabled] == ["disabled-repository"]
    assert disposition(disabled[0], POLICY) is Disposition.REJECT
    private = check.run(_evidence(HubMetadata(created_at=OLD, private=True)), POLICY).findings
    assert [(finding.rule, finding.severity) for finding in private] == [
        ("private-repository", Severity.INFO)
    ]
    assert disposition(private[0], load_policy("strict")) is Disposition.ALLOW


@given(
    downloads=st.integers(0, 10**12) | st.none(),
    likes=st.integers(0, 10**9) | st.none(),
    tags=st.lists(st.text(max_size=5), max_size=3),
)
def test_popularity_never_changes_a_finding(downloads, likes, tags):
    plain = HubMetadata(created_at=NOW, owner_verified=False, gated=True)
    popular = plain.model_copy(update={"downloads": downloads, "likes": likes, "tags": tuple(tags)})
    policy = _policy(require_verified_organisation=True, allow_gated=False)
    first = check.run(_evidence(plain), policy).findings
    assert first and first == check.run(_evidence(popular), policy).findings


def test_every_piece_is_recorded_with_what_it_proves():
    metadata = HubMetadata(
        created_at=OLD, owner_verified=True, base_models=("google/base", "x/y"), downloads=5, commits=3
    )
    measured = check.run(_evidence(metadata, model_id="google/model"), POLICY).measurements
    assert measured["owner-on-allow-list"] is True
    assert measured["owner-verified"] is True
    assert measured["age-days"] == 900
    assert measured["base-models"] == "google/base, x/y"
    assert (measured["downloads"], measured["commits"]) == (5, 3)
    assert "nothing" in measured["proves-downloads"]


@pytest.mark.parametrize(
    ("model_id", "endpoint", "resolved"),
    [
        ("Google/model", "https://huggingface.co", None),
        ("google/model", "https://mirror.example", None),
        ("google/model", "https://huggingface.co", "other/model"),
        ("model", "https://huggingface.co", None),
    ],
)
def test_trusted_name_counts_only_exactly_at_a_listed_endpoint(model_id, endpoint, resolved):
    evidence = _evidence(HubMetadata(created_at=OLD), model_id=model_id, endpoint=endpoint)
    if resolved:
        listing = evidence.listing.model_copy(update={"resolved_id": resolved})
        evidence = evidence.model_copy(update={"listing": listing})
    assert check.run(evidence, POLICY).measurements["owner-on-allow-list"] is False


def test_folder_of_the_house_is_fine_and_was_looked_at():
    result = check.run(_evidence(None, kind=SourceKind.FOLDER, model_id="ours/bert"), POLICY)
    assert result.status is Status.NO_FINDINGS


def test_nothing_to_look_at():
    assert check.run(_evidence(None), POLICY).status is Status.UNAVAILABLE
    without = _evidence(None).model_copy(update={"listing": None})
    assert check.run(without, POLICY).status is Status.NOT_RUN
