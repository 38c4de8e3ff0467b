"""Holds a bare state dict against a built-in architecture. Runs confined."""

from __future__ import annotations

from pathlib import Path

from registry_gate.evidence import Structure
from registry_gate.examine.behaviour_messages import Architecture
from registry_gate.examine.model_structure import LibraryClass


def examine_builtin(
    root: Path, weights: tuple[str, ...], architecture: Architecture
) -> tuple[Structure, LibraryClass | None]:
    """Compare names and shapes, all of them, with the network's own state dict."""
    raise NotImplementedError
