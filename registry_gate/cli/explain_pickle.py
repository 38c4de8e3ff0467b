"""``registry-gate scan --explain-pickle FILE``: what a file's pickles would do, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from registry_gate.cli.show import emit, progress_bars
from registry_gate.errors import FetchError, UsageError


def explain_pickle(reference: str, policy_name: str, output: Path | None) -> int:
    """Read one file in the sandbox and print the tree of its pickles.

    Returns:
        2 where a check of the pickles or of the format finds anything of medium severity or more, else 0.

    Raises:
        UsageError: ``not-a-file``; FetchError: it cannot be read; ToolError: there is no sandbox.
    """
    from registry_gate.candidate import Candidate, SourceKind
    from registry_gate.checks import file_formats, pickle_program, pickle_scanner
    from registry_gate.evidence import Evidence
    from registry_gate.examine.files import examine_file
    from registry_gate.finding import Severity
    from registry_gate.policy import load_policy
    from registry_gate.report import pickle_tree
    from registry_gate.version import VERSION

    path, policy = Path(reference), load_policy(policy_name)
    if not path.is_file():
        raise UsageError("not-a-file", f"{reference!r} is no file", todo="name one file to explain")
    try:
        with progress_bars() as progress:
            facts = examine_file(path, policy, progress)
    except OSError as error:
        raise FetchError("unreadable", f"{path}: {error.strerror}") from error
    evidence = Evidence(
        gate_version=VERSION,
        observed_at=datetime.now(UTC),
        candidate=Candidate(kind=SourceKind.FOLDER, endpoint="", id="unnamed"),
        registered_name="unnamed",
        facts=facts,
    )
    checks = (pickle_program.CHECK, pickle_scanner.CHECK, file_formats.CHECK)
    findings = [finding for check in checks for finding in check.run(evidence, policy).findings]
    emit(pickle_tree.render(facts.files[0], findings), output)
    return 2 if any(item.severity.rank >= Severity.MEDIUM.rank for item in findings) else 0
