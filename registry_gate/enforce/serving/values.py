"""Hostile YAML and command lines, taken apart without believing any shape."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import cast

Mapping = dict[str, object]
_VARIABLE = re.compile(
    r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)"
)
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "/bin/sh", "/bin/bash", "/bin/dash", "/usr/bin/bash"})
_LOOPBACK = ("127.", "localhost", "[::1]", "::1")


def mapping(value: object) -> Mapping:
    """The value if it is a mapping, with its keys as text; else an empty one."""
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def sequence(value: object) -> list[object]:
    """The value if it is a list, else an empty one."""
    return cast("list[object]", value) if isinstance(value, list) else []


def words(value: object) -> list[str]:
    """A command as written in YAML: a list, or a line that a shell would split."""
    if isinstance(value, str):
        return split(value)
    return [str(item) for item in sequence(value)]


def split(line: str) -> list[str]:
    """A shell's words; a line that a shell could not split is one word."""
    try:
        return shlex.split(line, comments=False)
    except ValueError:
        return [line]


def unwrapped(command: list[str]) -> list[str]:
    """The words of what a shell is asked to run, else the command itself."""
    if command and command[0] in _SHELLS:
        for number, word in enumerate(command[1:], start=1):
            if word.startswith("-") and word.endswith("c") and number + 1 < len(command):
                return split(command[number + 1].replace("\\\n", " "))
    return command


def filled(command: Sequence[str], known: dict[str, str]) -> list[str]:
    """The words with the variables that are known put in."""
    return [
        _VARIABLE.sub(lambda met: known.get(met[1] or met[2] or met[3], met[0]), word) for word in command
    ]


def unknown_in(text: str) -> bool:
    """Whether a value still names a variable, so that only the machine that runs it knows."""
    return bool(_VARIABLE.search(text) or "`" in text or "$(" in text or "{{" in text)


def is_loopback(address: str) -> bool:
    """Whether an address, with or without scheme and port, is of this machine alone."""
    return address.rpartition("://")[2].startswith(_LOOPBACK)


def truthy(text: str) -> bool:
    """Whether a flag's text switches it on."""
    return text.strip().lower() in ("", "true", "1", "yes", "on")


class Options:
    """The options of a command line: ``--name value``, ``--name=value``, ``--flag``; ``_`` and ``-`` are one.

    ``flags`` names the options that take no value.
    """

    def __init__(self, command: Sequence[str], flags: frozenset[str]) -> None:
        self.named: dict[str, list[str]] = {}
        self.plain: list[str] = []
        rest = list(command)
        while rest:
            word = rest.pop(0)
            if not word.startswith("--") or word == "--":
                self.plain.append(word)
                continue
            name, equals, value = word[2:].partition("=")
            name = name.replace("_", "-").lower()
            taken = self.named.setdefault(name, [])
            if equals:
                taken.append(value)
            elif name in flags:
                taken.append("")
            else:
                taken.append(rest.pop(0) if rest and not rest[0].startswith("--") else "")

    def has(self, name: str) -> bool:
        """Whether the option is there."""
        return name in self.named

    def last(self, name: str) -> str | None:
        """Its last value, which servers take; None where it is not there."""
        return self.named[name][-1] if name in self.named else None
