from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry_gate.candidate import Candidate, SourceKind
from registry_gate.checks import custom_code, file_formats, pickle_program, pickle_scanner
from registry_gate.evidence import Evidence, Facts, FileFacts, SandboxReport
from registry_gate.finding import Finding
from registry_gate.formats import ReaderLimits, describe_file
from registry_gate.policy import Policy, load_policy

CHECKS = (file_formats.CHECK, pickle_program.CHECK, pickle_scanner.CHECK, custom_code.CHECK)


@pytest.fixture(scope="session")
def policy() -> Policy:
    return load_policy("default")


@pytest.fixture(scope="session")
def limits() -> ReaderLimits:
    return ReaderLimits()


@pytest.fixture(scope="session")
def read(limits: ReaderLimits) -> Callable[..., FileFacts]:
    """Describe a file without the boundary, and insist that the facts survive the pipe to the parent."""

    def describe(path: Path, relative: str | None = None, **bounds: int) -> FileFacts:
        chosen = limits.model_copy(update=bounds) if bounds else limits
        facts = describe_file(path, relative or path.name, chosen)
        assert FileFacts.from_json(facts.canonical()) == facts
        return facts

    return describe


@pytest.fixture(scope="session")
def judge(policy: Policy) -> Callable[..., list[Finding]]:
    """All findings of the FILES checks on some files' facts."""

    def run(*files: FileFacts) -> list[Finding]:
        evidence = Evidence(
            gate_version="0",
            observed_at=datetime(2026, 1, 1, tzinfo=UTC),
            candidate=Candidate(kind=SourceKind.HUB, endpoint="https://huggingface.co", id="org/model"),
            registered_name="org--model",
            facts=Facts(files=files, sandbox=SandboxReport(mode="test", guarantees=())),
        )
        return [finding for check in CHECKS for finding in check.run(evidence, policy).findings]

    return run
