"""What an admission leaves on this machine: evidence, decision and report, by sequence number."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from registry_gate.decision import Decision
from registry_gate.evidence import Evidence
from registry_gate.report import json_report, text
from registry_gate.report.document import Report
from registry_gate.settings import Settings

_EVIDENCE, _DECISION = "evidence.json", "decision.json"


@dataclass(frozen=True)
class Filed:
    """The stored record of one admission."""

    folder: Path
    evidence: Evidence
    decision: Decision


def folder_of(settings: Settings, sequence: int, name: str) -> Path:
    """Where the record of one decision lies."""
    return settings.reports / f"{sequence:06d}-{name}"


def file_away(folder: Path, evidence: Evidence, decision: Decision) -> None:
    """Store evidence and decision, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(folder / _EVIDENCE, evidence.canonical())
    _write(folder / _DECISION, decision.canonical())


def file_report(folder: Path, report: Report) -> None:
    """Store the report beside its evidence, for programs and for people."""
    _write(folder / "report.json", json_report.render(report).encode())
    _write(folder / "report.txt", text.render(report).encode())


def find(settings: Settings, sequence: int, name: str, evidence_digest: str) -> Filed | None:
    """The stored record, if it is the very one whose digest was signed; otherwise None."""
    folder = folder_of(settings, sequence, name)
    try:
        evidence = Evidence.from_json((folder / _EVIDENCE).read_bytes())
        decision = Decision.from_json((folder / _DECISION).read_bytes())
    except (OSError, ValidationError):
        return None
    if evidence.digest() != evidence_digest or decision.evidence_digest != evidence_digest:
        return None
    return Filed(folder, evidence, decision)


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
