"""What an admission leaves on this machine: evidence, decision and report, by sequence number."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from registry_gate.decision import Decision
from registry_gate.errors import UsageError
from registry_gate.evidence import Evidence
from registry_gate.policy import Policy
from registry_gate.report import json_report, text
from registry_gate.report.document import Report
from registry_gate.settings import Settings

_EVIDENCE, _DECISION, _POLICY = "evidence.json", "decision.json", "policy.json"


@dataclass(frozen=True)
class Filed:
    """The stored record of one admission."""

    folder: Path
    evidence: Evidence
    decision: Decision


def folder_of(settings: Settings, sequence: int, name: str) -> Path:
    """Where the record of one decision lies."""
    return settings.reports / f"{sequence:06d}-{name}"


def file_away(folder: Path, evidence: Evidence, decision: Decision, policy: Policy) -> None:
    """Store evidence, decision and the policy that joins them, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(folder / _EVIDENCE, evidence.canonical())
    _write(folder / _DECISION, decision.canonical())
    _write(folder / _POLICY, policy.canonical())


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


def open_folder(folder: Path) -> tuple[Filed, Policy]:
    """The stored record of any decision, refusals too, with its policy; nobody vouches for it.

    Raises:
        UsageError: ``no-record`` where there is none, or its parts do not belong together.
    """
    try:
        evidence = Evidence.from_json((folder / _EVIDENCE).read_bytes())
        decision = Decision.from_json((folder / _DECISION).read_bytes())
        policy = Policy.from_json((folder / _POLICY).read_bytes())
    except (OSError, ValidationError) as error:
        raise _no_record(folder, str(error).splitlines()[0]) from error
    if (decision.evidence_digest, decision.policy_digest) != (evidence.digest(), policy.digest()):
        raise _no_record(folder, "the decision is not of this evidence under this policy")
    return Filed(folder, evidence, decision), policy


def folder_by_sequence(settings: Settings, sequence: int) -> Path:
    """Where the record of a sequence number lies, whatever its name.

    Raises:
        UsageError: ``no-record``.
    """
    found = sorted(settings.reports.glob(f"{sequence:06d}-*"))
    if len(found) != 1:
        raise _no_record(settings.reports, f"{len(found)} records have the number {sequence}")
    return found[0]


def _no_record(folder: Path, detail: str) -> UsageError:
    return UsageError(
        "no-record",
        f"{str(folder)[:200]!r} holds no whole record of a decision: {detail[:300]}",
        todo="name a sequence number of the log, or the folder that a report names as its own",
    )


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
