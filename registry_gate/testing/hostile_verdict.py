"""The verdict that ``scan`` gives on a file or folder, in this process, unsandboxed: for corpora."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from registry_gate.candidate import Candidate, SourceKind
from registry_gate.checks import CHECKS, custom_code, file_formats, pickle_program, pickle_scanner
from registry_gate.decision import Decision, decide
from registry_gate.evidence import Evidence, Facts, SandboxReport
from registry_gate.formats import ReaderLimits, describe_file
from registry_gate.policy import Policy
from registry_gate.self_test import SELF_TEST

_LOOKING = (file_formats.CHECK, pickle_program.CHECK, pickle_scanner.CHECK, custom_code.CHECK)
_WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def verdict(target: Path, policy: Policy, limits: ReaderLimits | None = None) -> tuple[Decision, Evidence]:
    """Read a file, or every file of a folder, run the checks that judge files, and decide.

    Readers run without the boundary that turns a failure into a refusal, so a mistake in one shows itself.

    Args:
        target: the file or folder.
        policy: what it is held against.
        limits: bounds of the readers; the usual ones by default.
    """
    paths = sorted(path for path in target.rglob("*") if path.is_file()) if target.is_dir() else [target]
    root = target if target.is_dir() else target.parent
    files = tuple(
        describe_file(path, path.relative_to(root).as_posix(), limits or ReaderLimits()) for path in paths
    )
    looking = {check.name for check in _LOOKING}
    evidence = Evidence(
        gate_version="0",
        observed_at=_WHEN,
        candidate=Candidate(kind=SourceKind.FOLDER, endpoint="", id="unnamed"),
        registered_name="unnamed",
        out_of_scope=tuple(sorted({SELF_TEST, *(check.name for check in CHECKS)} - looking)),
        facts=Facts(files=files, sandbox=SandboxReport(mode="none", guarantees=())),
    )
    results = tuple(check.run(evidence, policy) for check in _LOOKING)
    judged = evidence.model_copy(update={"results": results})
    return decide(judged, policy, _WHEN), judged
