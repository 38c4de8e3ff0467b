"""What the log and the list of protected names say of a model that a code base names."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from registry_gate.candidate import SourceKind
from registry_gate.decision import Verdict
from registry_gate.enforce.audit.document import Standing
from registry_gate.errors import Error, VerificationError
from registry_gate.log import AdmissionLog, DecisionBody, LogEntry
from registry_gate.names import assess
from registry_gate.names.assess import NAMESPACE, NEAR_MISS, NOT_ASCII, TYPOSQUAT
from registry_gate.policy import ProtectedNames
from registry_gate.settings import Settings

_IMITATING = frozenset({TYPOSQUAT, NOT_ASCII, NEAR_MISS, NAMESPACE})
_STANDINGS = {
    Verdict.ADMIT: Standing.ADMITTED,
    Verdict.REVIEW: Standing.REFUSED,
    Verdict.REJECT: Standing.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Known:
    """What the log last said of a model."""

    standing: Standing
    registered_name: str
    commit: str | None
    recorded_at: datetime
    policy: str
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The models of a log by id; ``state`` says in words whether there was one."""

    state: str = "no log"
    models: dict[str, Known] = field(default_factory=dict)

    def standing(self, model: str) -> Standing:
        """What the log says of an id; ``unknown`` where it says nothing."""
        found = self.models.get(model)
        return found.standing if found else Standing.UNKNOWN


def read_ledger(settings: Settings) -> Ledger:
    """The latest word of this user's log on each model of a hub.

    Without a log the audit works offline: every model is unknown.

    Raises:
        VerificationError: the log is damaged or signed by a stranger; what it says cannot be used.
    """
    if not settings.log.exists():
        return Ledger()
    from registry_gate.signing.trust import effective_trust

    try:
        entries = AdmissionLog(settings.log, effective_trust(settings, None)).entries()
    except VerificationError:
        raise
    except Error as error:
        return Ledger(f"the log could not be read: {error.code}")
    return Ledger(f"log of {len(entries)} entries", _latest(entries))


def _latest(entries: tuple[LogEntry, ...]) -> dict[str, Known]:
    models: dict[str, Known] = {}
    for entry in entries:
        body = entry.body
        if not isinstance(body, DecisionBody) or body.candidate.kind is not SourceKind.HUB:
            continue
        before = models.get(body.candidate.id)
        standing = _STANDINGS[body.verdict]
        if before is not None and before.standing is Standing.ADMITTED and standing is Standing.REFUSED:
            continue  # a newer commit was refused: the admitted one still stands
        models[body.candidate.id] = Known(
            standing,
            body.registered_name,
            body.commit,
            entry.recorded_at,
            body.policy_name,
            body.candidate.endpoint,
        )
    return models


def meant(model: str, protected: ProtectedNames) -> str | None:
    """The trusted id or owner that an id imitates; None for an ordinary one."""
    if "{" in model:
        return None
    found = assess(model, protected)
    return next(
        (match.imitates for match in found.matches if match.rule in _IMITATING and match.imitates), None
    )
