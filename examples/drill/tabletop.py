"""The tabletop exercise as sheets, and its score.

python -m examples.drill.tabletop players                   what the room gets: roles, injects, questions
python -m examples.drill.tabletop facilitator               the same, with expected controls and points
python -m examples.drill.tabletop score ANSWERS.yaml        {stage: [points given, ...]}, added up
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from registry_gate.drill.catalogue import catalogue
from registry_gate.errors import Error, UsageError
from registry_gate.finding import Slug
from registry_gate.record import Record

FILE = Path(__file__).with_name("tabletop.yaml")


class Role(Record):
    """Somebody in the room."""

    name: str
    does: str


class Good(Record):
    """Something a good team does, and what it is worth."""

    does: str
    points: int = Field(gt=0)


class Inject(Record):
    """One piece of news: minutes after the start, what is read aloud, what is asked, what is expected."""

    at: int = Field(ge=0)
    stage: Slug
    text: str
    questions: tuple[str, ...]
    controls: tuple[Slug, ...]
    good: tuple[Good, ...]


class Tabletop(Record):
    """The exercise."""

    title: str
    minutes: int
    roles: tuple[Role, ...]
    injects: tuple[Inject, ...]

    @property
    def points(self) -> int:
        """All that can be had."""
        return sum(good.points for inject in self.injects for good in inject.good)


def read(path: Path = FILE) -> Tabletop:
    """The exercise, its stages and controls held against the drill's own. Raises UsageError."""
    try:
        found = Tabletop.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")), strict=False)
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise UsageError("bad-tabletop", f"{path}: {' '.join(str(error).splitlines()[:3])}") from error
    known = catalogue()
    for inject in found.injects:
        known.stage(inject.stage)
        for control in inject.controls:
            known.control(control)
    return found


def sheet(exercise: Tabletop, *, facilitator: bool) -> str:
    """The exercise as Markdown, for the room or for who leads it."""
    lines = [f"# {exercise.title}", "", f"{exercise.minutes} minutes.", ""]
    lines += [f"* **{role.name}** {role.does}" for role in exercise.roles]
    for number, inject in enumerate(exercise.injects, 1):
        entry = catalogue().stage(inject.stage)
        lines += ["", f"## {number}. After {inject.at} minutes", "", inject.text, ""]
        lines += [f"* {question}" for question in inject.questions]
        if facilitator:
            names = ", ".join(f"{item.id} {item.name}" for item in catalogue().techniques_of(entry))
            lines += ["", f"Stage `{inject.stage}`: {entry.consequence}.", f"MITRE: {names}."]
            lines += [f"Expected to speak: {', '.join(inject.controls)}.", ""]
            lines += [f"* {good.points} points: {good.does}" for good in inject.good]
    if facilitator:
        lines += ["", f"{exercise.points} points in all. Ask for times, not for opinions."]
    return "\n".join(lines) + "\n"


def score(exercise: Tabletop, path: Path) -> str:
    """Points given, stage by stage. Raises UsageError where more were given than there are."""
    try:
        given = TypeAdapter(dict[str, list[int]]).validate_python(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise UsageError("bad-answers", f"{path}: {str(error).splitlines()[0]}") from error
    lines, total = [], 0
    for inject in exercise.injects:
        points = given.pop(inject.stage, [])
        most = [good.points for good in inject.good]
        if len(points) > len(most) or any(
            not 0 <= had <= had_at_most for had, had_at_most in zip(points, most, strict=False)
        ):
            raise UsageError("bad-answers", f"{inject.stage}: {points}, where at most {most} can be had")
        total += sum(points)
        lines.append(f"{inject.stage:<17}{sum(points):>3} of {sum(most)}")
    if given:
        raise UsageError("bad-answers", f"no such stage in this exercise: {', '.join(sorted(given))}")
    return "\n".join([*lines, f"{'all':<17}{total:>3} of {exercise.points}"]) + "\n"


def main(arguments: list[str]) -> int:
    """Print a sheet or a score; 1 on a usage error."""
    try:
        exercise = read()
        if arguments in (["players"], ["facilitator"]):
            sys.stdout.write(sheet(exercise, facilitator=arguments == ["facilitator"]))
            return 0
        if len(arguments) == 2 and arguments[0] == "score":
            sys.stdout.write(score(exercise, Path(arguments[1])))
            return 0
    except Error as error:
        sys.stderr.write(error.diagnostics() + "\n")
        return error.exit_code
    sys.stderr.write(f"{__doc__}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
