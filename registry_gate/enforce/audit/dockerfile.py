"""Dockerfiles: instructions with their continuations and heredocs, variables from ENV and ARG."""

from __future__ import annotations

import json
import re
import shlex

from registry_gate.enforce.audit.settings_words import judge_environment
from registry_gate.enforce.audit.shell import Variables, expanded, judge_words, logical_lines, read_shell
from registry_gate.enforce.audit.sighting import NOTHING, Seen

_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+(.*)", re.DOTALL)
_FLAG = re.compile(r"^\s*--[a-z]+(?:=\S+)?\s+")
_PAIR = re.compile(r"""([A-Za-z_]\w*)=("(?:[^"\\]|\\.)*"|'[^']*'|\S*)""")


def read_dockerfile(text: str) -> Seen:
    """What a Dockerfile shows: RUN, CMD, ENTRYPOINT, HEALTHCHECK, ENV, ARG and ADD."""
    variables: Variables = {}
    seen = NOTHING
    lines = _without_inner_comments(text)
    for number, logical, body, _ in logical_lines(lines):
        matched = _INSTRUCTION.match(logical)
        if matched is None or logical.lstrip().startswith("#"):
            continue
        name, rest = matched[1].upper(), matched[2]
        while _FLAG.match(rest):
            rest = _FLAG.sub("", rest, count=1)
        rest = rest.removeprefix("[") if name == "ONBUILD" else rest
        seen += _instruction(name, rest, body, variables, number)
    return seen


def _without_inner_comments(text: str) -> str:
    """Comment lines among continued ones are left out by docker; here they become empty continued lines."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.lstrip().startswith("#") and number and lines[number - 1].rstrip().endswith("\\"):
            lines[number] = "\\"
        else:
            lines[number] = line.rstrip()
    return "\n".join(lines)


def _instruction(name: str, rest: str, body: str | None, variables: Variables, number: int) -> Seen:
    if name in ("ENV", "ARG"):
        return _environment(rest, variables, number)
    if name in ("RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK", "ONBUILD"):
        return _command(rest.removeprefix("CMD ") if name == "HEALTHCHECK" else rest, body, variables, number)
    if name == "ADD":
        return judge_words(["ADD", *expanded(rest, variables).split()], number, variables)
    return NOTHING


def _environment(rest: str, variables: Variables, number: int) -> Seen:
    seen = NOTHING
    pairs = _PAIR.findall(rest)
    if not pairs and " " in rest.strip():
        key, _, value = rest.strip().partition(" ")
        pairs = [(key, value)]
    for key, value in pairs:
        plain = expanded(value.strip().strip("\"'"), variables)
        variables[key] = plain
        seen += judge_environment(key, plain, number)
    return seen


def _command(rest: str, body: str | None, variables: Variables, number: int) -> Seen:
    if rest.lstrip().startswith("["):
        try:
            words = json.loads(rest.replace("\f", " ").replace("\n", " "))
        except ValueError:
            words = None
        if isinstance(words, list):
            return judge_words([str(word) for word in words], number, dict(variables))
    text = rest.replace("\f", "\\\n")
    if body is None:
        return read_shell(text, variables, first=number)
    if re.match(r"\s*<<", rest):
        return read_shell(body, variables, first=number + 1)
    return read_shell(f"{text}\n{body}\n{_mark(text)}", variables, first=number)


def _mark(text: str) -> str:
    found = re.search(r"<<-?\s*['\"]?(\w+)", text)
    return found[1] if found else ""


def words_of(text: str) -> list[str]:
    """A command line as words, split as a shell does; where it cannot be, at spaces."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
