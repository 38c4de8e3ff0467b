"""What a reader of one file saw, before anyone asks the log about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from registry_gate.finding import Severity


@dataclass(frozen=True, slots=True)
class Sighting:
    """One rule met at one place of a file.

    ``line`` counts from 1 within the file, within the cell for a notebook. ``model`` is a hub id where one
    could be told; ``{}`` stands in it for a part that could not. ``severity`` overrides the rule's own.
    """

    rule: str
    line: int
    subject: str
    detail: str = ""
    model: str | None = None
    revision: str | None = None
    severity: Severity | None = None
    column: int = 1
    cell: int | None = None

    @property
    def named(self) -> str:
        """The model as it is written: a hub's id, or a reference to what was admitted."""
        return self.model or self.detail

    def moved(self, lines: int) -> Sighting:
        """The same, that many lines further down."""
        return replace(self, line=self.line + lines)

    def at(self, line: int) -> Sighting:
        """The same, on another line."""
        return replace(self, line=line)


@dataclass(frozen=True, slots=True)
class RoadUse:
    """One load that keeps to the road: ``load_verified``, ``registry-gate pull``."""

    line: int
    subject: str
    model: str | None = None
    cell: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a reader has to say of one file. ``notes`` are what it could not look at, in words."""

    sightings: tuple[Sighting, ...] = ()
    on_road: tuple[RoadUse, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Seen) -> Seen:
        return Seen(self.sightings + other.sightings, self.on_road + other.on_road, self.notes + other.notes)

    def moved(self, lines: int) -> Seen:
        """The same, that many lines further down."""
        return Seen(
            tuple(item.moved(lines) for item in self.sightings),
            tuple(replace(item, line=item.line + lines) for item in self.on_road),
            self.notes,
        )

    def at(self, line: int) -> Seen:
        """The same, all of it on one line."""
        return Seen(
            tuple(item.at(line) for item in self.sightings),
            tuple(replace(item, line=line) for item in self.on_road),
            self.notes,
        )

    def in_cell(self, cell: int) -> Seen:
        """The same, within a notebook's cell."""
        return Seen(
            tuple(replace(item, cell=cell) for item in self.sightings),
            tuple(replace(item, cell=cell) for item in self.on_road),
            self.notes,
        )


NOTHING = Seen()
