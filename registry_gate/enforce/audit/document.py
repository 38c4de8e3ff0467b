"""The result of an audit: findings with place, standing and what to write instead."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from registry_gate.finding import Severity, Slug
from registry_gate.record import Record


class Standing(StrEnum):
    """What index and log say of a model."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    UNKNOWN = "unknown"


class Disposition(StrEnum):
    """What becomes of a finding."""

    OPEN = "open"
    SUPPRESSED = "suppressed"
    BASELINE = "baseline"
    NOTED = "noted"
    """Below the severity that fails the audit."""


class AuditFinding(Record):
    """One rule met at one place. ``fingerprint`` survives moves of the line within its file."""

    rule: Slug
    severity: Severity
    message: str
    path: str
    line: int = Field(ge=1)
    column: int = Field(default=1, ge=1)
    cell: int | None = None
    code: str = ""
    model: str | None = None
    revision: str | None = None
    standing: Standing | None = None
    replacement: str | None = None
    did_you_mean: str | None = None
    fingerprint: str
    disposition: Disposition = Disposition.OPEN
    reason: str = ""
    """Of its suppression."""


class Note(Record):
    """What was not looked at, or only in part."""

    path: str
    message: str


class OnRoad(Record):
    """One load that keeps to the road."""

    path: str
    line: int
    subject: str
    model: str | None = None


class AuditReport(Record):
    """All that an audit found. ``log`` says whether there was a log to ask."""

    schema_version: int = 1
    files: int
    findings: tuple[AuditFinding, ...]
    on_road: tuple[OnRoad, ...]
    notes: tuple[Note, ...]
    fail_on: Severity
    log: str

    @property
    def open(self) -> tuple[AuditFinding, ...]:
        """The findings that fail the audit."""
        return tuple(item for item in self.findings if item.disposition is Disposition.OPEN)
