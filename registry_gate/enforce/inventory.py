"""inventory(): every model that a code base names, with what index, log and registry say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime

from registry_gate import archive
from registry_gate.enforce.audit.audit import Rulebook, audit
from registry_gate.enforce.audit.document import AuditFinding, AuditReport, Note, Standing
from registry_gate.enforce.audit.hubs import pinned
from registry_gate.enforce.audit.standing import Known
from registry_gate.errors import Error
from registry_gate.progress import Progress, silent
from registry_gate.record import Record
from registry_gate.report.bom import licence_in, licence_of
from registry_gate.settings import Settings

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
_FROM_WORST = (
    Standing.REVOKED,
    Standing.REFUSED,
    Standing.SUPERSEDED,
    Standing.UNKNOWN,
    Standing.ADMITTED,
)
_WERE_ADMITTED = (Standing.ADMITTED, Standing.SUPERSEDED, Standing.REVOKED)
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

    ``commit`` is the one admitted, where one is known; ``asked`` are the revisions the code names, and
    ``standing`` is the worst of what they lead to. ``age_days`` is how long ago it was decided on.
    ``reason`` says why it is revoked or superseded, ``instead`` what reference to load.
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
    revoked: bool
    reason: str
    instead: str | None
    places: tuple[Place, ...]

    @property
    def tracked(self) -> bool:
        """Whether index or log know the model at all."""
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
    revoked: int
    adoption: float | None
    log: str
    notes: tuple[Note, ...]


Verifier = Callable[[str], Signature]
Licences = Callable[[Known], str | None]


def not_checked(model: str) -> Signature:
    """Verify nothing."""
    return Signature(status="not-checked")


def no_licence(known: Known) -> str | None:
    """Look nothing up."""
    return None


def verify_signature(model: str) -> Signature:
    """Verify the attestations and every byte of the Release that the registry holds for an id.

    The licence is that of its signed bill of materials.
    """
    from registry_gate.client.private_copy import verified_where_it_lies

    try:
        found = verified_where_it_lies(model, None)
    except Error as error:
        return Signature(status=error.code)
    licence = licence_in(found.bill_of_materials)
    return Signature(status="verified", licence=licence, expires_at=found.verified.expires_at)


def filed_licences(settings: Settings) -> Licences:
    """The licences in the records of admissions on this machine, whose digests the log has."""

    def find(known: Known) -> str | None:
        filed = archive.find(settings, *known.decision) if known.decision else None
        return licence_of(filed.evidence) if filed else None

    return find


def inventory(
    paths: Iterable[Path],
    rulebook: Rulebook,
    verifier: Verifier = not_checked,
    licences: Licences = no_licence,
    progress: Progress = silent,
    now: datetime | None = None,
) -> Inventory:
    """Read the files below the paths and list every model they name.

    Args:
        paths: files and folders.
        rulebook: as for an audit; its ledger says what index and log know.
        verifier: how the signature of a model that was admitted is looked at.
        licences: where the licence is looked up that no signature states.
        progress: told how far the reading is.
        now: the time ages are counted to; the clock's if None.

    Raises:
        UsageError: ``no-such-path``.
    """
    report = audit(paths, rulebook, progress)
    moment = now or datetime.now(UTC)
    names = sorted(_names(report), key=str.lower)
    models = tuple(_model(name, report, rulebook, verifier, licences, moment) for name in names)
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
        revoked=sum(model.revoked for model in models),
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
    name: str, report: AuditReport, rulebook: Rulebook, verifier: Verifier, licences: Licences, now: datetime
) -> UsedModel:
    findings = [item for item in report.findings if item.model == name and item.rule in _NAMING]
    places = {(item.path, item.line): False for item in findings}
    places |= {(use.path, use.line): True for use in report.on_road if use.model == name}
    asked = tuple(sorted({item.revision for item in findings if item.revision}))
    known = _worst(rulebook, name, asked, on_road=any(places.values()))
    standing = known.standing if known else Standing.UNKNOWN
    signature = verifier(name) if standing in _WERE_ADMITTED else Signature(status="none")
    return UsedModel(
        id=name,
        owner=name.rpartition("/")[0],
        source=known.endpoint if known else "",
        commit=known.commit if known else None,
        asked=asked,
        licence=signature.licence or (licences(known) if known else None),
        standing=standing,
        policy=known.policy if known else None,
        decided_at=known.recorded_at if known else None,
        age_days=max(0, (now - known.recorded_at).days) if known else None,
        signature=signature.status,
        expires_at=signature.expires_at,
        revoked=standing is Standing.REVOKED,
        reason=known.reason if known else "",
        instead=known.instead if known else None,
        places=tuple(
            Place(path=path, line=line, on_road=road) for (path, line), road in sorted(places.items())
        ),
    )


def _worst(rulebook: Rulebook, name: str, asked: tuple[str, ...], *, on_road: bool) -> Known | None:
    """What is known of the worst that the code asks for; plainly by id where it names no revision."""
    revisions: tuple[str | None, ...] = asked if asked and not on_road else (*asked, None)
    found = [known for one in revisions if (known := rulebook.ledger.known(name, one)) is not None]
    return min(found, key=lambda known: _FROM_WORST.index(known.standing), default=None)


def unpinned(model: UsedModel) -> bool:
    """Whether the code names it without a commit of 40 digits."""
    return not model.asked or not all(pinned(revision) for revision in model.asked)
