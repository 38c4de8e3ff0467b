"""The command that a Dockerfile starts, where it is a model server's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from registry_gate.enforce.serving.containers import Container, judge_command
from registry_gate.enforce.serving.rules import found
from registry_gate.enforce.serving.values import filled, split, unwrapped
from registry_gate.finding import Finding

_LINE = re.compile(r"\s*([A-Za-z]+)\s+(.*)", re.DOTALL)


def judge(text: str, file: str) -> Iterator[Finding]:
    """Findings of the last ENTRYPOINT and CMD of the last stage, with the stage's ENV."""
    image = ""
    entry: list[str] = []
    command: list[str] = []
    known: dict[str, str] = {}
    joined = re.sub(
        r"\\[ \t]*\r?\n",
        " ",
        "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")),
    )
    for met in filter(None, map(_LINE.fullmatch, joined.splitlines())):
        keyword, rest = met[1].upper(), met[2].strip()
        if keyword == "FROM":
            image, entry, command, known = rest.split()[0], [], [], {}
        elif keyword == "ENTRYPOINT":
            entry, command = _words(rest), []
        elif keyword == "CMD":
            command = _words(rest)
        elif keyword in ("ENV", "ARG"):
            known |= _pairs(rest)
    words = tuple(filled(unwrapped(entry + command), known))
    findings = judge_command(Container("CMD", image, words, known), file)
    if findings is None:
        yield found("serving-not-understood", file, "CMD", "it starts no model server that this audit knows")
    else:
        yield from findings


def _words(rest: str) -> list[str]:
    if rest.startswith("["):
        try:
            return [str(item) for item in json.loads(rest)]
        except (ValueError, TypeError, RecursionError):
            return split(rest)
    return split(rest)


def _pairs(rest: str) -> dict[str, str]:
    first, _, value = rest.partition(" ")
    if "=" not in first:
        return {first: value}
    return {name: value for name, _, value in (word.partition("=") for word in split(rest))}
