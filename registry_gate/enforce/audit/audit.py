"""audit(): from paths to findings. The files are read once; nothing of them is imported or run."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from registry_gate.enforce.audit.baseline import NO_DEBT, Baseline, apply
from registry_gate.enforce.audit.document import (
    AuditFinding,
    AuditReport,
    Disposition,
    Note,
    OnRoad,
    Standing,
)
from registry_gate.enforce.audit.project import Project
from registry_gate.enforce.audit.readers import read_source
from registry_gate.enforce.audit.rules import RULES
from registry_gate.enforce.audit.sighting import Seen, Sighting
from registry_gate.enforce.audit.standing import Known, Ledger, meant
from registry_gate.enforce.audit.suppression import Suppression, read_suppressions
from registry_gate.enforce.audit.walk import FileKind, Source, Unread, walk
from registry_gate.errors import ToolError
from registry_gate.finding import Severity
from registry_gate.policy import ProtectedNames
from registry_gate.progress import Progress, silent

_MAX_CODE = 300
_LOADING = frozenset({"hub-load", "hub-download", "hub-serve", "hub-reference", "registry-load"})
_TOLD_BY = {Standing.REVOKED: "revoked-model", Standing.SUPERSEDED: "superseded-model"}


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What an audit judges by: the log, the protected names, the severity that fails, known debt, the day."""

    ledger: Ledger
    protected: ProtectedNames
    fail_on: Severity = Severity.MEDIUM
    baseline: Baseline = NO_DEBT
    excluded: tuple[str, ...] = ()
    today: date | None = None

    @property
    def day(self) -> date:
        """The day that expiries are compared with."""
        return self.today or datetime.now(UTC).date()


def audit(paths: Iterable[Path], rulebook: Rulebook, progress: Progress = silent) -> AuditReport:
    """Read the files below the paths and say where they go round the road.

    Raises:
        UsageError: ``no-such-path``.
    """
    found = list(walk(tuple(paths), rulebook.excluded))
    sources = [item for item in found if isinstance(item, Source)]
    unread = [item for item in found if isinstance(item, Unread)]
    project = Project(sources)
    findings: list[AuditFinding] = []
    roads: list[OnRoad] = []
    notes = [Note(path=item.shown, message=f"not looked at: {item.why}") for item in unread]
    for number, source in enumerate(sources):
        progress("auditing", number, len(sources))
        seen = read_source(source, project)
        findings += findings_of(source, seen, rulebook)
        roads += [
            OnRoad(path=source.shown, line=use.line, subject=use.subject, model=use.model)
            for use in seen.on_road
        ]
        notes += [Note(path=source.shown, message=text) for text in seen.notes]
    findings += [_unread_finding(item) for item in unread if item.serious]
    return AuditReport(
        files=len(sources),
        findings=apply(_below_bar(findings, rulebook.fail_on), rulebook.baseline),
        on_road=tuple(roads),
        notes=tuple(notes),
        fail_on=rulebook.fail_on,
        log=rulebook.ledger.state,
    )


def _below_bar(findings: list[AuditFinding], bar: Severity) -> tuple[AuditFinding, ...]:
    noted = {"disposition": Disposition.NOTED}
    return tuple(
        item.model_copy(update=noted)
        if item.disposition is Disposition.OPEN and item.severity.rank < bar.rank
        else item
        for item in findings
    )


def findings_of(source: Source, seen: Seen, rulebook: Rulebook) -> list[AuditFinding]:
    """The sightings of one file as findings, suppressions applied."""
    lines = _lines(source)
    allowed = _suppressions(source, rulebook.day)
    sightings = [*seen.sightings, *_told_by_names(seen, rulebook), *_invalid(allowed)]
    counts: Counter[str] = Counter()
    findings = []
    for item in sightings:
        code = _code(lines, item)
        stable = _stable(source.shown, item, code)
        counts[stable] += 1
        finding = _finding(source.shown, item, code, f"{stable}:{counts[stable]}", rulebook.ledger)
        findings.append(_suppressed(finding, allowed))
    return findings


def _lines(source: Source) -> dict[int, list[str]]:
    """The lines of a file by cell; cell 0 is the file itself."""
    if source.kind is not FileKind.NOTEBOOK:
        return {0: source.text.splitlines()}
    from registry_gate.enforce.audit.notebook import code_cells

    return dict(enumerate((text.splitlines() for text in code_cells(source.text)), 1))


def _code(lines: dict[int, list[str]], item: Sighting) -> str:
    cell = lines.get(item.cell or 0, [])
    return cell[item.line - 1].strip()[:_MAX_CODE] if 0 < item.line <= len(cell) else ""


def _stable(path: str, item: Sighting, code: str) -> str:
    """A fingerprint of what is found, without its line number: the same where lines move."""
    parts = (item.rule, path, " ".join(code.split()), item.subject, item.model or "")
    return hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _suppressions(source: Source, today: date) -> dict[int, tuple[Suppression, ...]]:
    if source.kind is not FileKind.NOTEBOOK:
        return {0: read_suppressions(source.text, today)}
    from registry_gate.enforce.audit.notebook import code_cells

    return {number: read_suppressions(text, today) for number, text in enumerate(code_cells(source.text), 1)}


def _invalid(allowed: dict[int, tuple[Suppression, ...]]) -> list[Sighting]:
    return [
        Sighting("suppression-invalid", one.line, "suppression", one.problem, cell=cell or None)
        for cell, several in allowed.items()
        for one in several
        if one.problem
    ]


def _suppressed(finding: AuditFinding, allowed: dict[int, tuple[Suppression, ...]]) -> AuditFinding:
    for one in allowed.get(finding.cell or 0, ()):
        if not one.problem and finding.rule in one.rules and one.covers == finding.line:
            reason = f"{one.reason} (until {one.until})"
            return finding.model_copy(update={"disposition": Disposition.SUPPRESSED, "reason": reason})
    return finding


def _told_by_names(seen: Seen, rulebook: Rulebook) -> list[Sighting]:
    """Look-alikes, revoked and superseded models among what is loaded: findings of their own, one a file."""
    found: dict[tuple[str, str, str | None], Sighting] = {}
    for item in seen.sightings:
        if item.rule not in _LOADING:
            continue
        imitated = _imitated(item.model, rulebook.protected) if item.model else None
        if item.model and imitated is not None:
            one = Sighting("look-alike", item.line, item.model, imitated, item.model, cell=item.cell)
            found.setdefault(("look-alike", item.model, None), one)
        if gone := _gone(item, rulebook.ledger):
            found.setdefault((gone.rule, gone.named, gone.revision), gone)
    for use in seen.on_road:
        asked = Sighting("", use.line, use.subject, use.model or "", cell=use.cell)
        if gone := _gone(asked, rulebook.ledger):
            found.setdefault((gone.rule, gone.named, None), gone)
    return list(found.values())


def _gone(item: Sighting, ledger: Ledger) -> Sighting | None:
    """The finding that what is loaded here is revoked or superseded; None where it is not."""
    known = _known(item, ledger)
    if known is None or known.standing not in _TOLD_BY:
        return None
    return replace(item, rule=_TOLD_BY[known.standing], severity=None)


def _known(item: Sighting, ledger: Ledger) -> Known | None:
    """What the ledger has of what a sighting names: a hub's id at a revision, or a reference to a Release."""
    if item.model is not None:
        return None if "{" in item.model else ledger.known(item.model, item.revision)
    return ledger.referenced(item.detail) if item.detail else None


def _imitated(model: str, protected: ProtectedNames) -> str | None:
    try:
        return meant(model, protected)
    except ToolError:
        return None  # no package for edit distances: a base installation audits without "did you mean"


def _finding(path: str, item: Sighting, code: str, fingerprint: str, ledger: Ledger) -> AuditFinding:
    rule = RULES[item.rule]
    loaded = item.rule in _LOADING or item.rule in _TOLD_BY.values()
    known = _known(item, ledger) if loaded else None
    unknown = Standing.UNKNOWN if loaded and item.model and "{" not in item.model else None
    return AuditFinding(
        rule=item.rule,
        severity=item.severity or rule.severity,
        message=_message(item, rule.title, known),
        path=path,
        line=item.line,
        column=item.column,
        cell=item.cell,
        code=code,
        model=item.named if item.rule in _TOLD_BY.values() else item.model,
        revision=item.revision,
        standing=known.standing if known else unknown,
        replacement=_replacement(item, known),
        did_you_mean=item.detail if item.rule == "look-alike" else None,
        fingerprint=fingerprint,
    )


def _message(item: Sighting, title: str, known: Known | None) -> str:
    if item.rule == "look-alike":
        return f"{title}: {item.model!r}; did you mean {item.detail!r}?"
    parts = [title, item.subject]
    if known and item.rule in _TOLD_BY.values():
        left = "" if known.instead else "; nothing of it is admitted now"
        parts.append(f"{item.named}: {known.reason}{left}")
    elif item.detail and item.detail != item.model:
        parts.append(item.detail)
    return ": ".join(parts)[:600]


def _replacement(item: Sighting, known: Known | None) -> str | None:
    """The line to write instead: never one that leads to what is refused, revoked or superseded."""
    registered = item.detail if item.detail.startswith("models:/") else None
    if known is None:
        return f'load_verified("{registered}")' if item.rule == "registry-load" and registered else None
    stands = known.standing is Standing.ADMITTED
    reference = (registered if stands else None) or known.instead or (item.model if stands else None)
    if reference is None:
        return None
    if item.subject == "load_verified" or item.rule == "registry-load" or _is_call(item):
        return f'load_verified("{reference}")'
    return f"registry-gate pull {reference} DEST"


def _is_call(item: Sighting) -> bool:
    word = item.subject.partition(" ")[0]
    return "." in item.subject or (item.rule in ("hub-load", "hub-download") and not word.isidentifier())


def _unread_finding(item: Unread) -> AuditFinding:
    sighting = Sighting("could-not-tell", 1, item.why)
    return _finding(item.shown, sighting, "", _stable(item.shown, sighting, ""), Ledger())
