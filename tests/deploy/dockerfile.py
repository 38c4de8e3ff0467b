"""Dockerfiles, instruction by instruction: enough to hold them to rules and to run what they would run."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    image: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def last(self, keyword: str) -> str:
        return [rest for word, rest in self.instructions if word == keyword][-1]

    def words(self, keyword: str) -> list[str]:
        """The exec form of ENTRYPOINT or CMD; the shell form is an error."""
        parsed: list[str] = json.loads(self.last(keyword))
        return parsed

    def environment(self) -> dict[str, str]:
        pairs = [
            word.partition("=")
            for kind, rest in self.instructions
            if kind == "ENV"
            for word in shlex.split(rest)
        ]
        return {name: value for name, _, value in pairs}


def stages(path: Path) -> tuple[dict[str, str], list[Stage]]:
    """The global arguments with their defaults, and the stages."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip():
            continue
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            found.append(Stage(image, name))
        elif word == "ARG" and not found:
            name, _, value = rest.partition("=")
            arguments[name] = value
        else:
            found[-1].instructions.append((word, rest.strip()))
    return arguments, found
