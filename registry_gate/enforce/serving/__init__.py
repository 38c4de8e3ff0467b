"""What the settings of a model server leave open: Triton, vLLM, TorchServe, KServe."""

from __future__ import annotations

from pathlib import Path

from registry_gate.enforce.serving.audit import audit_file
from registry_gate.enforce.serving.rules import RULES
from registry_gate.finding import Finding

__all__ = ["RULES", "audit_file", "audit_files"]


def audit_files(paths: tuple[Path, ...]) -> tuple[Finding, ...]:
    """Everything found in some files, file by file.

    Raises:
        FetchError: ``cannot-read-settings``.
    """
    return tuple(finding for path in paths for finding in audit_file(path))
