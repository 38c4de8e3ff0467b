"""The stages, controls and techniques of the drill: data, read from ``stages.yaml``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from registry_gate.drill.deployed import load
from registry_gate.errors import ToolError, UsageError
from registry_gate.finding import Slug
from registry_gate.record import Record

FILE = Path(__file__).with_name("stages.yaml")


class Technique(Record):
    """One technique of MITRE ATT&CK or ATLAS, by its id and name there."""

    framework: Literal["ATT&CK", "ATLAS"]
    id: str
    name: str

    @property
    def url(self) -> str:
        """Its page."""
        if self.framework == "ATLAS":
            return f"https://atlas.mitre.org/techniques/{self.id}"
        return f"https://attack.mitre.org/techniques/{self.id.replace('.', '/')}/"


class StageEntry(Record):
    """One step of the attacker, and the controls on its road in the order it meets them."""

    id: Slug
    title: str
    story: str
    consequence: str
    controls: tuple[Slug, ...]
    techniques: tuple[str, ...]


class ControlEntry(Record):
    """One control: what it is, at which place it stands, when it speaks."""

    id: Slug
    title: str
    place: str
    when: str


class Catalogue(Record):
    """Everything the drill knows before it begins."""

    frameworks: dict[str, str]
    techniques: tuple[Technique, ...]
    controls: tuple[ControlEntry, ...]
    stages: tuple[StageEntry, ...]

    def stage(self, name: str) -> StageEntry:
        """One stage by id. Raises UsageError ``no-such-stage``."""
        found = next((stage for stage in self.stages if stage.id == name), None)
        if found is None:
            known = ", ".join(stage.id for stage in self.stages)
            raise UsageError(
                "no-such-stage", f"{name[:100]!r} is no stage of the drill", todo=f"one of: {known}"
            )
        return found

    def control(self, name: str) -> ControlEntry:
        """One control by id. Raises UsageError ``no-such-control``."""
        found = next((control for control in self.controls if control.id == name), None)
        if found is None:
            known = ", ".join(control.id for control in self.controls)
            raise UsageError(
                "no-such-control", f"{name[:100]!r} is no control of the drill", todo=f"one of: {known}"
            )
        return found

    def techniques_of(self, stage: StageEntry) -> tuple[Technique, ...]:
        """The techniques of a stage, whole."""
        known = {technique.id: technique for technique in self.techniques}
        return tuple(known[name] for name in stage.techniques)


@cache
def catalogue() -> Catalogue:
    """The shipped catalogue.

    Raises:
        ToolError: ``bad-catalogue``: the installation is damaged.
    """
    try:
        found = Catalogue.model_validate(load(FILE), strict=False)
    except ValidationError as error:
        raise ToolError("bad-catalogue", f"{FILE}: {str(error).splitlines()[0]}") from error
    controls = {control.id for control in found.controls}
    techniques = {technique.id for technique in found.techniques}
    for stage in found.stages:
        if unknown := {*stage.controls} - controls | {*stage.techniques} - techniques:
            raise ToolError("bad-catalogue", f"{FILE}: {stage.id} names {sorted(unknown)}")
    return found
