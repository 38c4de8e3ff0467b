"""What index, log and the list of protected names say of a model that a code base names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from registry_gate.candidate import SourceKind
from registry_gate.client.reference import Reference, parse
from registry_gate.decision import Verdict
from registry_gate.enforce.admissions import Admission, admissions, current
from registry_gate.enforce.audit.document import Standing
from registry_gate.errors import Error, UsageError, VerificationError
from registry_gate.index.content import IndexContent
from registry_gate.log import AdmissionLog, DecisionBody, LogEntry
from registry_gate.names import assess
from registry_gate.names.assess import NAMESPACE, NEAR_MISS, NOT_ASCII, TYPOSQUAT
from registry_gate.policy import ProtectedNames
from registry_gate.settings import DEFAULT_ALIAS, Settings
from registry_gate.signing.trust import Trust, effective_trust

_IMITATING = frozenset({TYPOSQUAT, NOT_ASCII, NEAR_MISS, NAMESPACE})
_NEVER_ADMITTED = (Standing.REVOKED, Standing.REFUSED)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a model, or of one Release of it.

    ``reason`` says why it was revoked or superseded, ``instead`` what reference leads to the newest Release
    that is neither, ``decision`` under which number, name and evidence digest its record was filed.
    """

    standing: Standing
    registered_name: str
    commit: str | None
    recorded_at: datetime
    policy: str
    endpoint: str = ""
    reason: str = ""
    instead: str | None = None
    decision: tuple[int, str, str] | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """The models of index and log by id; ``state`` says in words what was there to ask.

    ``releases`` are all that were admitted, newest first, ``aliases`` where the gate left them.
    """

    state: str = "no log"
    models: dict[str, Known] = field(default_factory=dict)
    releases: tuple[Admission, ...] = ()
    content: IndexContent | None = None

    def standing(self, model: str, revision: str | None = None) -> Standing:
        """What is said of an id, at a commit where one is named; ``unknown`` where nothing is."""
        found = self.known(model, revision)
        return found.standing if found else Standing.UNKNOWN

    def known(self, model: str, revision: str | None = None) -> Known | None:
        """The Release of the commit asked for where it is one, else what loading the id leads to."""
        if revision is not None:
            for item in self.releases:
                if (item.source.id, item.source.commit) == (model, revision):
                    return self._told(item)
        return self.models.get(model)

    def referenced(self, text: str) -> Known | None:
        """What a reference that ``load_verified`` takes leads to; None for what is not known, or no such."""
        try:
            asked = parse(text, DEFAULT_ALIAS)
        except UsageError:
            return None
        if asked.id is not None:
            return self.models.get(asked.id)
        found = self._release(asked)
        return self._told(found) if found else None

    def _release(self, asked: Reference) -> Admission | None:
        name = asked.name or ""
        if isinstance(asked.alias, str):
            return current(name, self.releases, self.content, asked.alias)
        for item in self.releases:
            if item.name == name and (item.manifest_digest == asked.manifest or asked.alias in item.versions):
                return item
        return None

    def _told(self, item: Admission) -> Known:
        same = tuple(other for other in self.releases if other.source.id == item.source.id)
        return _known(item, same, self.content)


def read_ledger(settings: Settings) -> Ledger:
    """What this user's index and log say of each model of a hub.

    Without either the audit works offline: every model is unknown. An index that cannot be reached leaves no
    model admitted: what was revoked is not known without it.

    Raises:
        VerificationError: log or index is damaged, stale or signed by a stranger; what it says cannot be
            used.
    """
    try:
        trust = effective_trust(settings)
        entries = AdmissionLog(settings.log, trust).entries()
    except VerificationError:
        raise
    except Error as error:
        if error.code == "no-trust" and not settings.log.exists():
            return Ledger()
        return Ledger(f"the log could not be read: {error.code}")
    log = f"log of {len(entries)} entries" if settings.log.exists() else "no log"
    try:
        content = _index(settings, trust)
    except VerificationError:
        raise
    except Error as error:
        said = f"{log}; the index could not be read, so nothing is told as admitted: {error.code}"
        models = _models(entries, admissions(entries, None), None)
        return Ledger(said, {name: one for name, one in models.items() if one.standing in _NEVER_ADMITTED})
    found = admissions(entries, content)
    index = f", index {content.number}" if content else ""
    return Ledger(f"{log}{index}", _models(entries, found, content), found, content)


def _index(settings: Settings, trust: Trust) -> IndexContent | None:
    if trust.index is None:
        return None
    from registry_gate.index.read import read_index

    return read_index(settings, trust)


def _models(
    entries: tuple[LogEntry, ...], found: tuple[Admission, ...], content: IndexContent | None
) -> dict[str, Known]:
    """By id: what was refused and never admitted, and what loading each admitted id leads to."""
    models = {name: known for name, known in _refused(entries) if known is not None}
    of_hub: defaultdict[str, list[Admission]] = defaultdict(list)
    for item in found:
        if item.source.kind is SourceKind.HUB:
            of_hub[item.source.id].append(item)
    for model, items in of_hub.items():
        same = tuple(items)
        models[model] = _known(current(same[0].name, same, content) or same[0], same, content)
    return models


def _refused(entries: Iterable[LogEntry]) -> Iterator[tuple[str, Known | None]]:
    """The last word of the log on each model; None where it is an admission that nothing lists yet."""
    last: dict[str, Known | None] = {}
    for entry in entries:
        body = entry.body
        if not isinstance(body, DecisionBody) or body.candidate.kind is not SourceKind.HUB:
            continue
        last[body.candidate.id] = (
            None
            if body.verdict is Verdict.ADMIT
            else Known(
                Standing.REFUSED,
                body.registered_name,
                body.commit,
                entry.recorded_at,
                body.policy_name,
                body.candidate.endpoint,
                decision=(entry.sequence, body.registered_name, body.evidence_digest),
            )
        )
    yield from last.items()


def _known(item: Admission, same: tuple[Admission, ...], content: IndexContent | None) -> Known:
    filed = (item.sequence, item.name, item.evidence_digest) if item.evidence_digest else None
    return Known(
        item.standing,
        item.name,
        item.source.commit,
        item.recorded_at,
        item.policy,
        item.source.endpoint,
        item.reason,
        _instead(item, same, content),
        filed,
    )


def _instead(item: Admission, same: tuple[Admission, ...], content: IndexContent | None) -> str | None:
    """The plain id where loading it leads to what is admitted, else a pin of this or the newest that is."""
    leads_to = current(item.name, same, content)
    if leads_to is not None and leads_to.standing is Standing.ADMITTED:
        return leads_to.source.id
    admitted = [other for other in (item, *same) if other.standing is Standing.ADMITTED]
    return admitted[0].pin if admitted else None


def meant(model: str, protected: ProtectedNames) -> str | None:
    """The trusted id or owner that an id imitates; None for an ordinary one."""
    if "{" in model:
        return None
    found = assess(model, protected)
    return next(
        (match.imitates for match in found.matches if match.rule in _IMITATING and match.imitates), None
    )
