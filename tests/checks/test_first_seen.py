"""A name that changed hands is noticed by any one fact; a name that did not is not, whatever is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from registry_gate.candidate import Candidate, HubMetadata, Listing, SeenFacts, SourceKind
from registry_gate.checks import first_seen as check
from registry_gate.decision import disposition
from registry_gate.evidence import Evidence, FirstSeen, History
from registry_gate.finding import Status
from registry_gate.policy import Disposition, load_policy

SEEN_AT = datetime(2025, 1, 1, tzinfo=UTC)
MADE = datetime(2023, 5, 1, tzinfo=UTC)
THEN = SeenFacts(
    created_at=MADE,
    repository_id="r1",
    first_commit="1" * 40,
    first_commit_at=MADE,
    first_author="ann",
    owner_id="o1",
    owner_created_at=MADE - timedelta(days=100),
)
FIRST = FirstSeen(at=SEEN_AT, sequence=7, facts=THEN)
BOTH = History(model=FIRST, owner=FIRST)
POLICY = load_policy("default")


def evidence_of(
    now: SeenFacts | None, history: History | None = BOTH, kind: SourceKind = SourceKind.HUB
) -> Evidence:
    candidate = Candidate(kind=kind, endpoint="https://huggingface.co", id="org/model")
    listing = Listing(
        candidate=candidate,
        resolved_id="org/model",
        commit="a" * 40,
        files=(),
        metadata=HubMetadata(beginnings=now),
    )
    return Evidence(
        gate_version="0",
        observed_at=SEEN_AT + timedelta(days=300),
        candidate=candidate,
        registered_name="org--model",
        listing=listing,
        history=history,
    )


def messages(now: SeenFacts, history: History = BOTH) -> list[str]:
    return [finding.message for finding in check.run(evidence_of(now, history), POLICY).findings]


def test_the_same_beginnings_are_no_finding() -> None:
    result = check.run(evidence_of(THEN), POLICY)
    assert result.status is Status.NO_FINDINGS
    assert result.measurements["model-first-seen"] == "2025-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"repository_id": "r2"}, "repository's id"),
        ({"created_at": MADE + timedelta(days=1)}, "the repository was made on 2023-05-02"),
        ({"first_commit": "2" * 40}, "first commit"),
        ({"owner_id": "o2"}, "owner's account"),
        ({"owner_created_at": MADE}, "the owner's account was made on 2023-05-01"),
    ],
)
def test_each_fact_alone_exposes_a_change_of_hands(changed: dict[str, object], word: str) -> None:
    found = check.run(evidence_of(THEN.model_copy(update=changed)), POLICY).findings
    assert [finding.rule for finding in found] == ["namespace-reused"]
    assert word in found[0].message
    assert "sequence 7" in found[0].message
    for name in ("default", "strict"):
        assert disposition(found[0], load_policy(name)) is Disposition.REJECT


@pytest.mark.parametrize("name", ["created_at", "owner_created_at"])
def test_younger_than_our_first_sight_is_a_change_even_where_no_date_was_stated(name: str) -> None:
    bare = FirstSeen(at=SEEN_AT, sequence=7, facts=SeenFacts())
    now = SeenFacts(**{name: SEEN_AT + timedelta(days=30)})
    assert len(messages(now, History(model=bare, owner=bare))) == 1
    assert messages(SeenFacts(**{name: MADE}), History(model=bare, owner=bare)) == []


@pytest.mark.parametrize("name", SeenFacts.model_fields)
def test_what_either_side_does_not_state_proves_nothing(name: str) -> None:
    assert messages(THEN.model_copy(update={name: None})) == []
    old = FIRST.model_copy(update={"facts": THEN.model_copy(update={name: None})})
    assert messages(THEN, History(model=old, owner=old)) == []


def test_an_older_date_is_not_younger() -> None:
    assert messages(THEN.model_copy(update={"created_at": MADE - timedelta(days=5)})) == []


def test_a_new_model_of_a_known_owner_is_held_against_the_owner_only() -> None:
    now = THEN.model_copy(update={"repository_id": "r9", "first_commit": "9" * 40})
    assert messages(now, History(owner=FIRST)) == []
    assert len(messages(now.model_copy(update={"owner_id": "o2"}), History(owner=FIRST))) == 1


def test_what_cannot_be_compared_did_not_look() -> None:
    assert check.run(evidence_of(THEN, history=None), POLICY).status is Status.NOT_APPLICABLE
    assert check.run(evidence_of(None), POLICY).status is Status.UNAVAILABLE
    folder = evidence_of(THEN, kind=SourceKind.FOLDER)
    assert check.run(folder, POLICY).status is Status.NOT_APPLICABLE
    unlisted = evidence_of(THEN).model_copy(update={"listing": None})
    assert check.run(unlisted, POLICY).status is Status.NOT_RUN
    assert check.run(evidence_of(THEN, History()), POLICY).status is Status.NO_FINDINGS
