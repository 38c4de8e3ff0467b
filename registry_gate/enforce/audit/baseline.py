"""Existing debt: fingerprints that are known and do not fail a build; what is new still does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pydantic import ValidationError

from registry_gate.enforce.audit.document import AuditFinding, Disposition
from registry_gate.errors import UsageError
from registry_gate.record import Record

_MAX_BYTES = 32 * 1024 * 1024


class KnownDebt(Record):
    """One finding of the time the baseline was written; rule and path are for the people who read it."""

    fingerprint: str
    rule: str
    path: str


class Baseline(Record):
    """The findings that are known. Rules of severity critical are never part of one."""

    version: int = 1
    findings: tuple[KnownDebt, ...]


NO_DEBT = Baseline(findings=())


def of_findings(findings: tuple[AuditFinding, ...]) -> Baseline:
    """The baseline that makes these findings known."""
    known = [
        KnownDebt(fingerprint=item.fingerprint, rule=item.rule, path=item.path)
        for item in findings
        if item.disposition in (Disposition.OPEN, Disposition.BASELINE) and item.severity.value != "critical"
    ]
    return Baseline(findings=tuple(sorted(known, key=lambda item: (item.path, item.rule, item.fingerprint))))


def read_baseline(path: Path) -> Baseline:
    """Read a baseline file.

    Raises:
        UsageError: ``bad-baseline``.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise _bad(path, f"larger than {_MAX_BYTES} bytes")
        return Baseline.from_json(path.read_bytes())
    except OSError as error:
        raise _bad(path, error.strerror or "cannot be read") from error
    except ValidationError as error:
        raise _bad(path, str(error.errors()[0]["msg"])) from error


def apply(findings: tuple[AuditFinding, ...], baseline: Baseline) -> tuple[AuditFinding, ...]:
    """The findings with those that are known marked; each line of the baseline covers one finding."""
    left = Counter(item.fingerprint for item in baseline.findings)
    marked = []
    for item in findings:
        coverable = item.disposition is Disposition.OPEN and item.severity.value != "critical"
        if coverable and left[item.fingerprint] > 0:
            left[item.fingerprint] -= 1
            marked.append(item.model_copy(update={"disposition": Disposition.BASELINE}))
        else:
            marked.append(item)
    return tuple(marked)


def _bad(path: Path, detail: str) -> UsageError:
    return UsageError(
        "bad-baseline",
        f"{str(path)[:200]}: {detail}",
        why="a baseline that cannot be read would hide nothing or everything",
        todo="write it again with --write-baseline",
    )
