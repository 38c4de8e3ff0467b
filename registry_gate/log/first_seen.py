"""What the log knows of a name's first appearance: pure functions over its entries."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from registry_gate.candidate import Candidate, SeenFacts
from registry_gate.evidence import Evidence, FirstSeen, History
from registry_gate.log.entries import DecisionBody, LogEntry


def seen_in(evidence: Evidence) -> SeenFacts | None:
    """What the hub stated of the beginnings this time; None for a folder, or where nothing was listed."""
    metadata = evidence.listing.metadata if evidence.listing else None
    return metadata.beginnings if metadata else None


def history_of(entries: Iterable[LogEntry], candidate: Candidate) -> History:
    """First appearances of a model and of its owner, whatever the verdict was.

    Args:
        entries: of the log, first to last.
        candidate: a name counts only together with kind and endpoint.
    """
    there = [entry for entry in entries if _same_place(entry, candidate)]
    return History(
        model=_first(there, lambda known: known.id == candidate.id),
        owner=_first(there, lambda known: bool(known.owner) and known.owner == candidate.owner),
    )


def _same_place(entry: LogEntry, candidate: Candidate) -> bool:
    body = entry.body
    if not isinstance(body, DecisionBody) or body.seen is None:
        return False
    return (body.candidate.kind, body.candidate.endpoint) == (candidate.kind, candidate.endpoint)


def _first(entries: Iterable[LogEntry], wanted: Callable[[Candidate], bool]) -> FirstSeen | None:
    """The first entry about a name, its facts completed by the first later one that states them."""
    found: FirstSeen | None = None
    for entry in entries:
        body = entry.body
        if not isinstance(body, DecisionBody) or body.seen is None or not wanted(body.candidate):
            continue
        if found is None:
            found = FirstSeen(at=entry.recorded_at, sequence=entry.sequence, facts=body.seen)
            continue
        added = {
            name: value
            for name, value in body.seen
            if value is not None and getattr(found.facts, name) is None
        }
        found = found.model_copy(update={"facts": found.facts.model_copy(update=added)})
    return found
