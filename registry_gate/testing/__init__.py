"""Doubles that are real servers: for this project's tests and for anyone's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_gate.testing.hub import Failure, LoopbackHub, RepoMetadata, Tamper

__all__ = ["Failure", "LoopbackHub", "RepoMetadata", "Tamper"]


def __getattr__(name: str) -> object:
    # lazy, so that ``python -m registry_gate.testing.hub`` does not import the module it is about to run
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from registry_gate.testing import hub

    return getattr(hub, name)
