"""inventory(): every model that a code base names, with what log and registry say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime

from registry_gate.enforce.audit.audit import Rulebook, audit
from registry_gate.enforce.audit.document import AuditFinding, AuditReport, Note, Standing
from registry_gate.enforce.audit.hubs import pinned
from registry_gate.errors import Error
from registry_gate.progress import Progress, silent
from registry_gate.record import Record

_LOADS = frozenset(
    {
        "hub-load",
        "hub-download",
        "hub-serve",
        "hub-reference",
        "registry-load",
        "model-not-told",
        "unverified-pickle",
    }
)
_NAMING = frozenset({"hub-load", "hub-download", "hub-serve", "hub-reference", "remote-code"})


class Signature(Record):
    """What verifying the registered Release said: ``verified``, ``not-checked``, or a refusal's code."""

    status: str
    licence: str | None = None
    expires_at: AwareDatetime | None = None


class Place(Record):
    """Where a model is named. ``on_road`` for a load through the gate."""

    path: str
    line: int
    on_road: bool


class UsedModel(Record):
    """One model of the code base.

    ``commit`` is the one admitted, where the log knows one; ``asked`` are the revisions the code names.
    ``age_days`` is how long ago the log last decided on it.
    """

    id: str
    owner: str
    source: str
    commit: str | None
    asked: tuple[str, ...]
    licence: str | None
    standing: Standing
    policy: str | None
    decided_at: AwareDatetime | None
    age_days: int | None
    signature: str
    expires_at: AwareDatetime | None
    places: tuple[Place, ...]

    @property
    def tracked(self) -> bool:
        """Whether the log knows the model at all."""
        return self.standing is not Standing.UNKNOWN


class Inventory(Record):
    """The models of a code base. ``adoption`` is the share of loads on the road; None where nothing loads."""

    schema_version: int = 1
    made_at: AwareDatetime
    files: int
    models: tuple[UsedModel, ...]
    loads: int
    loads_on_road: int
    unnamed_loads: int
    untracked: int
    adoption: float | None
    log: str
    notes: tuple[Note, ...]


Verifier = Callable[[str], Signature]


def not_checked(model: str) -> Signature:
    """Verify nothing."""
    return Signature(status="not-checked")


def verify_signature(model: str) -> Signature:
    """Verify the attestations and every byte of the Release that the registry holds for an id."""
    from registry_gate.client import verify

    try:
        verified = verify(model)
    except Error as error:
        return Signature(status=error.code)
    return Signature(status="verified", expires_at=verified.expires_at)


def inventory(
    paths: Iterable[Path],
    rulebook: Rulebook,
    verifier: Verifier = not_checked,
    progress: Progress = silent,
    now: datetime | None = None,
) -> Inventory:
    """Read the files below the paths and list every model they name.

    Args:
        paths: files and folders.
        rulebook: as for an audit; its ledger says what the log knows.
        verifier: how an admitted model's signature is looked at.
        progress: told how far the reading is.
        now: the time ages are counted to; the clock's if None.

    Raises:
        UsageError: ``no-such-path``.
    """
    report = audit(paths, rulebook, progress)
    moment = now or datetime.now(UTC)
    models = tuple(
        _model(name, report, rulebook, verifier, moment) for name in sorted(_names(report), key=str.lower)
    )
    around = _places_around(report)
    on_road = len(report.on_road)
    return Inventory(
        made_at=moment,
        files=report.files,
        models=models,
        loads=len(around) + on_road,
        loads_on_road=on_road,
        unnamed_loads=len(
            {(item.path, item.cell, item.line) for item in _loads(report) if item.model is None}
        ),
        untracked=sum(not model.tracked for model in models),
        adoption=round(on_road / (len(around) + on_road), 4) if around or on_road else None,
        log=report.log,
        notes=report.notes,
    )


def _loads(report: AuditReport) -> list[AuditFinding]:
    return [item for item in report.findings if item.rule in _LOADS]


def _places_around(report: AuditReport) -> set[tuple[str, int | None, int]]:
    """Loads that go round the road; several findings of one line are one load."""
    return {(item.path, item.cell, item.line) for item in _loads(report)}


def _names(report: AuditReport) -> set[str]:
    named = {item.model for item in report.findings if item.model and item.rule in _NAMING}
    return named | {
        use.model for use in report.on_road if use.model and not use.model.startswith(("models:", ".", "/"))
    }


def _model(
    name: str, report: AuditReport, rulebook: Rulebook, verifier: Verifier, now: datetime
) -> UsedModel:
    known = rulebook.ledger.models.get(name)
    standing = rulebook.ledger.standing(name)
    signature = verifier(name) if standing is Standing.ADMITTED else Signature(status="none")
    findings = [item for item in report.findings if item.model == name and item.rule in _NAMING]
    places = {(item.path, item.line): False for item in findings}
    places |= {(use.path, use.line): True for use in report.on_road if use.model == name}
    return UsedModel(
        id=name,
        owner=name.rpartition("/")[0],
        source=known.endpoint if known else "",
        commit=known.commit if known else None,
        asked=tuple(sorted({item.revision for item in findings if item.revision})),
        licence=signature.licence,
        standing=standing,
        policy=known.policy if known else None,
        decided_at=known.recorded_at if known else None,
        age_days=max(0, (now - known.recorded_at).days) if known else None,
        signature=signature.status,
        expires_at=signature.expires_at,
        places=tuple(
            Place(path=path, line=line, on_road=road) for (path, line), road in sorted(places.items())
        ),
    )


def unpinned(model: UsedModel) -> bool:
    """Whether the code names it without a commit of 40 digits."""
    return not model.asked or not all(pinned(revision) for revision in model.asked)
