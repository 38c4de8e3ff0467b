"""What a newer admission of a model changed against the last admitted one."""

from __future__ import annotations

from collections.abc import Iterable

from registry_gate.evidence import Evidence, Problem
from registry_gate.record import Record
from registry_gate.weights.drift import drift
from registry_gate.weights.fingerprint import fingerprint

_SHOWN = 20


class Change(Record):
    """One thing that is not as it was, of a kind in :data:`KINDS`; the texts come from the candidate."""

    kind: str
    before: str
    after: str
    detail: str = ""


KINDS = ("source", "author", "licence", "gated", "format", "global", "structure", "weights")


def compare(earlier: Evidence, later: Evidence) -> tuple[Change, ...]:
    """Compare two examinations of one registered name; empty where nothing of note changed.

    Only what an attacker who took over a repository would change is looked at: who and where it is from,
    the licence, file formats and pickle imports that were not there before, the classes that
    ``config.json`` names, and the weights beyond the noise of fine-tuning.

    Args:
        earlier: of the last admitted commit, from the archive.
        later: of the commit now examined.
    """
    return (
        *_source(earlier, later),
        *_listing(earlier, later),
        *_new("format", _formats(earlier), _formats(later)),
        *_new("global", _globals(earlier), _globals(later)),
        *_new("structure", _structure(earlier), _structure(later)),
        *_weights(earlier, later),
    )


def as_problems(changes: Iterable[Change]) -> tuple[Problem, ...]:
    """The changes as problems, for evidence that is to be signed."""
    return tuple(
        Problem(code=f"changed-{item.kind}", detail=f"{item.before!r} -> {item.after!r} {item.detail}"[:600])
        for item in changes
    )


def _source(earlier: Evidence, later: Evidence) -> list[Change]:
    before, after = earlier.candidate, later.candidate
    pairs = [(before.kind.value, after.kind.value), (before.endpoint, after.endpoint), (before.id, after.id)]
    return [Change(kind="source", before=a[:200], after=b[:200]) for a, b in pairs if a != b]


def _listing(earlier: Evidence, later: Evidence) -> list[Change]:
    before, after = earlier.listing, later.listing
    if before is None or after is None or before.metadata is None or after.metadata is None:
        return []
    was, now = before.metadata, after.metadata
    pairs = (
        ("author", was.author, now.author),
        ("author", was.owner_verified, now.owner_verified),
        ("licence", was.licence, now.licence),
        ("gated", was.gated, now.gated),
    )
    return [Change(kind=kind, before=_text(a), after=_text(b)) for kind, a, b in pairs if a != b]


def _formats(evidence: Evidence) -> set[str]:
    return {file.format.value for file in evidence.facts.files} if evidence.facts else set()


def _globals(evidence: Evidence) -> set[str]:
    files = evidence.facts.files if evidence.facts else ()
    return {f"{item.module}.{item.name}" for file in files for part in file.pickles for item in part.globals}


def _structure(evidence: Evidence) -> set[str]:
    files = evidence.facts.files if evidence.facts else ()
    configs = [file.config for file in files if file.config is not None]
    named = {f"class {name}" for config in configs for name in config.architectures}
    named |= {f"model type {config.model_type}" for config in configs if config.model_type}
    return named | {f"{config.num_labels} labels" for config in configs if config.num_labels is not None}


def _new(kind: str, before: set[str], after: set[str]) -> list[Change]:
    """What is there now and was not before; what went away harms nobody."""
    added = sorted(after - before)
    return [Change(kind=kind, before="", after=_text(item)) for item in added[:_SHOWN]]


def _weights(earlier: Evidence, later: Evidence) -> list[Change]:
    if earlier.staged is None or later.staged is None:
        return []
    if not earlier.staged.tensors or not later.staged.tensors:
        return []
    moved = drift(fingerprint(earlier.staged.tensors), fingerprint(later.staged.tensors))
    tensors = len({item.tensor for item in moved})
    found = [
        Change(
            kind="weights",
            before="",
            after=item.tensor[:200],
            detail=f"{item.kind}: {item.detail} ({item.value:.3g}, limit {item.limit:.3g})",
        )
        for item in moved[:_SHOWN]
    ]
    if len(moved) > _SHOWN:
        more = f"{len(moved)} changes in {tensors} tensors in all"
        found.append(Change(kind="weights", before="", after="", detail=more))
    return found


def _text(value: object) -> str:
    return repr(value)[:200] if value is not None else ""
