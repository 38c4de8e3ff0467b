"""What a check says: Severity, Confidence, Rule, Location, Finding, CheckResult."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from registry_gate.record import Record

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Scalar = bool | int | float | str | None


class Severity(StrEnum):
    """How bad it is if the finding is right."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info up to 4 for critical."""
        return list(Severity).index(self)


class Confidence(StrEnum):
    """How likely it is that the finding is right."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def rank(self) -> int:
        """0 for low up to 2 for high."""
        return list(Confidence).index(self)


class Rule(Record):
    """One thing a check can find. ``id`` is never reused and never derived from message text."""

    id: Slug
    title: str
    severity: Severity
    help: str


class Location(Record):
    """Where: a file of the candidate, a member inside it, a byte offset, a tensor, a field of a document."""

    file: str | None = None
    member: str | None = None
    offset: int | None = None
    tensor: str | None = None
    field: str | None = None


class Finding(Record):
    """One rule met by the candidate. ``score`` in [0, 1], higher is more suspicious, for statistics only."""

    rule: Slug
    severity: Severity
    confidence: Confidence
    message: str
    location: Location = Location()
    score: float | None = Field(default=None, ge=0, le=1)


class Status(StrEnum):
    """How a check ended. Only the first two count as having looked."""

    NO_FINDINGS = "no_findings"
    FINDINGS = "findings"
    NOT_APPLICABLE = "not_applicable"
    NOT_RUN = "not_run"
    UNAVAILABLE = "unavailable"
    ERROR = "error"


class CheckResult(Record):
    """What one check concluded. ``reason`` explains in words any status that did not look."""

    name: Slug
    version: int
    status: Status
    findings: tuple[Finding, ...] = ()
    measurements: dict[str, Scalar] = {}
    reason: str = ""
    seconds: float | None = None


def concluded(
    name: str,
    version: int,
    findings: list[Finding] | tuple[Finding, ...],
    measurements: dict[str, Scalar] | None = None,
) -> CheckResult:
    """A result of a check that looked: the status follows from whether anything was found."""
    return CheckResult(
        name=name,
        version=version,
        status=Status.FINDINGS if findings else Status.NO_FINDINGS,
        findings=tuple(findings),
        measurements=measurements or {},
    )
