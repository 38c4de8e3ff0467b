"""The changes an index can go through: pure functions from one content to the next."""

from __future__ import annotations

from registry_gate.index.content import Floor, IndexContent, Listed, LogHead, Revocation


def with_listed(content: IndexContent, entry: Listed) -> IndexContent:
    """List a Release; one that is listed already is not listed twice."""
    same = (item.model_copy(update={"listed_at": entry.listed_at}) for item in content.listed)
    if any(item == entry for item in same):
        return content
    return content.model_copy(update={"listed": (*content.listed, entry)})


def with_revoked(content: IndexContent, entry: Revocation) -> IndexContent:
    """Revoke; what is revoked already keeps its first reason and time."""
    ignored = {"reason", "revoked_at"}
    wanted = entry.model_dump(exclude=ignored)
    if any(item.model_dump(exclude=ignored) == wanted for item in content.revoked):
        return content
    return content.model_copy(update={"revoked": (*content.revoked, entry)})


def with_floor(content: IndexContent, name: str, alias: str, sequence: int) -> IndexContent:
    """Say where an alias was left."""
    floor = Floor(name=name, alias=alias, sequence=sequence)
    if floor in content.floors:
        return content
    others = tuple(item for item in content.floors if (item.name, item.alias) != (name, alias))
    return content.model_copy(update={"floors": (*others, floor)})


def with_floor_at_most(content: IndexContent, name: str, alias: str, sequence: int) -> IndexContent:
    """Let an alias lead to this number, before it is moved there."""
    if content.floor(name, alias) <= sequence:
        return content
    return with_floor(content, name, alias, sequence)


def with_log(content: IndexContent, head: LogHead) -> IndexContent:
    """Witness the log's head; a shorter log never replaces a longer one."""
    if content.log is not None and content.log.length >= head.length:
        return content
    return content.model_copy(update={"log": head})
