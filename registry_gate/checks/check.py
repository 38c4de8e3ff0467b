"""What a check is: a frozen value around one pure function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from registry_gate.evidence import Evidence
from registry_gate.finding import CheckResult, Rule
from registry_gate.policy import Policy


class Stage(StrEnum):
    """When a check judges: after the listing, the facts, the staging, or the behaviour examination."""

    METADATA = "metadata"
    FILES = "files"
    TENSORS = "tensors"
    BEHAVIOUR = "behaviour"


@dataclass(frozen=True)
class Check:
    """One check: no base class, no registration by import; it is listed by hand in ``CHECKS``."""

    name: str
    version: int
    stage: Stage
    rules: tuple[Rule, ...]
    run: Callable[[Evidence, Policy], CheckResult]
