"""The first appearance of a name in the log: the first entry's, completed by what was stated later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from registry_gate.candidate import Candidate, SeenFacts, SourceKind
from registry_gate.decision import Verdict
from registry_gate.evidence import FirstSeen
from registry_gate.log.entries import FIRST_PREVIOUS, DecisionBody, LogEntry
from registry_gate.log.first_seen import history_of

START = datetime(2026, 1, 1, tzinfo=UTC)
HUB = "https://huggingface.co"


def candidate_of(model_id: str, endpoint: str = HUB, kind: SourceKind = SourceKind.HUB) -> Candidate:
    return Candidate(kind=kind, endpoint=endpoint, id=model_id)


def entry_of(number: int, candidate: Candidate, seen: SeenFacts | None) -> LogEntry:
    body = DecisionBody(
        verdict=Verdict.REJECT,
        candidate=candidate,
        registered_name="x",
        commit=None,
        policy_name="p",
        policy_digest="sha256:" + "0" * 64,
        evidence_digest="sha256:" + "0" * 64,
        seen=seen,
    )
    at = START + timedelta(days=number)
    return LogEntry(sequence=number, previous=FIRST_PREVIOUS, recorded_at=at, body=body)


def test_nothing_seen_is_no_history() -> None:
    history = history_of((), candidate_of("org/model"))
    assert (history.model, history.owner) == (None, None)


def test_the_first_appearance_counts_whatever_the_verdict() -> None:
    entries = (
        entry_of(1, candidate_of("org/other"), SeenFacts(owner_id="o1", repository_id="other")),
        entry_of(2, candidate_of("org/model"), SeenFacts(owner_id="o2", repository_id="r1")),
        entry_of(3, candidate_of("org/model"), SeenFacts(owner_id="o3", repository_id="r2")),
    )
    history = history_of(entries, candidate_of("org/model"))
    assert history.model == FirstSeen(
        at=START + timedelta(days=2), sequence=2, facts=SeenFacts(owner_id="o2", repository_id="r1")
    )
    assert history.owner is not None
    assert (history.owner.sequence, history.owner.facts.owner_id) == (1, "o1")


def test_a_fact_stated_later_completes_the_first() -> None:
    entries = (
        entry_of(1, candidate_of("org/model"), None),
        entry_of(2, candidate_of("org/model"), SeenFacts(repository_id="r1")),
        entry_of(3, candidate_of("org/model"), SeenFacts(repository_id="r2", first_commit="1" * 40)),
    )
    history = history_of(entries, candidate_of("org/model"))
    assert history.model is not None
    assert history.model.sequence == 2
    assert history.model.facts == SeenFacts(repository_id="r1", first_commit="1" * 40)


def test_a_name_means_nothing_elsewhere() -> None:
    entries = (
        entry_of(1, candidate_of("org/model", "https://mirror.example"), SeenFacts(repository_id="r1")),
        entry_of(2, candidate_of("org/model", "", SourceKind.FOLDER), SeenFacts(repository_id="r2")),
        entry_of(3, candidate_of("Org/model"), SeenFacts(repository_id="r3")),
    )
    assert history_of(entries, candidate_of("org/model")).model is None


def test_a_name_without_an_owner_has_no_owner_in_common() -> None:
    entries = (entry_of(1, candidate_of("bert"), SeenFacts(owner_id="o1")),)
    assert history_of(entries, candidate_of("gpt")).owner is None
