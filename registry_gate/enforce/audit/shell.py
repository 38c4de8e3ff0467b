"""Shell: logical lines, simple variables, and command lines judged one by one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from registry_gate.enforce.audit.commands import judge_command
from registry_gate.enforce.audit.settings_words import judge_environment
from registry_gate.enforce.audit.sighting import NOTHING, Seen

_ASSIGN = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{(\w+)(?::?[-=]([^{}]*))?\}|\$\((\w+)\)|\$(\w+)")
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_PYTHON = re.compile(r"(?:^|[\s;&|/])(?:python[\d.]*|uv run|poetry run)\b")
_SEPARATORS = frozenset(
    {";", "&&", "||", "|", "&", "(", ")", ";;", "|&", "{", "}", "\n", "do", "then", "else", "!"}
)
_MAX_LINE = 20_000
Variables = dict[str, str]


def read_shell(text: str, variables: Variables | None = None, *, first: int = 1) -> Seen:
    """What a script shows.

    Args:
        text: the script.
        variables: values known from elsewhere (Dockerfile, Makefile); assignments of the script are added.
        first: the number of its first line.
    """
    known = dict(variables or {})
    seen = NOTHING
    for line, logical, body, body_line in logical_lines(text):
        if body is not None and _PYTHON.search(logical):
            from registry_gate.enforce.audit.python_file import read_snippet

            seen += read_snippet(expanded(body, known)).moved(first + body_line - 2)
        elif body is not None and re.search(r"(?:^|\s)(?:ba|z|da)?sh\b|\bssh\b", logical):
            seen += read_shell(body, known, first=first + body_line - 1)
        seen += _read_line(logical[:_MAX_LINE], known, first + line - 1)
    return seen


def logical_lines(text: str) -> Iterator[tuple[int, str, str | None, int]]:
    """Lines with continuations joined: number, line, heredoc body or None, number of its first line."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        start, line = number, lines[number]
        while _goes_on(line) and number + 1 < len(lines):
            number += 1
            line = (
                (line.removesuffix("\\"))
                + ("\n" if not line.endswith("\\") else "\f")
                + lines[number].strip()
            )
        number += 1
        found = _HEREDOC.search(line) if not line.lstrip().startswith("#") else None
        if found is None:
            yield start + 1, line, None, 0
            continue
        body = []
        first = number + 1
        while number < len(lines) and lines[number].strip() != found[2]:
            body.append(lines[number])
            number += 1
        number += 1
        yield start + 1, line, "\n".join(body), first


def _goes_on(line: str) -> bool:
    """A backslash at the end, or a quotation that is still open."""
    if line.lstrip().startswith("#") or len(line) > _MAX_LINE:
        return False
    if line.endswith("\\"):
        return True
    plain = re.sub(r"\\.", "", line)
    plain = (
        re.sub(r"(?:^|\s)#.*$", "", plain)
        if plain.count("'") % 2 == 0 and plain.count('"') % 2 == 0
        else plain
    )
    single = re.sub(r'"[^"]*"', "", plain)
    double = re.sub(r"'[^']*'", "", plain)
    return (single.count("'") % 2 == 1 and double.count('"') % 2 == 0) or (
        double.count('"') % 2 == 1 and single.count("'") % 2 == 0
    )


def _read_line(line: str, known: Variables, number: int) -> Seen:
    seen = NOTHING
    for offset, words in _commands(line):
        seen += judge_words(words, number + offset, known)
    return seen


def _commands(line: str) -> Iterator[tuple[int, list[str]]]:
    """The simple commands of a logical line, each with how many lines down it begins."""
    if line.lstrip().startswith("#"):
        return
    words: list[str] = []
    down = begins = 0
    for raw in _tokens(line):
        down += raw.count("\f")
        token = raw.replace("\f", " ").strip() if "\f" in raw else raw
        if token in _SEPARATORS or token.startswith((">", "<")):
            if words:
                yield begins, words
            words, begins = [], down
        elif token:
            begins = down if not words else begins
            words.append(token)
    if words:
        yield begins, words


def _tokens(line: str) -> list[str]:
    spaced = re.sub(r"\f", " \f ", line)
    spaced = re.sub(r"\$\((?!\w+\))|`", " ; ", spaced)
    lexer = shlex.shlex(spaced, posix=True, punctuation_chars=";&|()\n")
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(_without_comment(lexer))
    except ValueError:  # an open quotation: what can be told without quotations
        return re.split(r"[ \t\r]+|(\f|;|&&|\|\||\|)", spaced.replace('"', "").replace("'", ""))


def _without_comment(tokens: Iterator[str]) -> Iterator[str]:
    for token in tokens:
        if token.startswith("#"):
            return
        yield token


def judge_words(words: list[str], line: int, known: Variables | None = None) -> Seen:
    """One command line, given as words; variables are filled in, and its own assignments remembered."""
    values = known if known is not None else {}
    seen = NOTHING
    rest = [expanded(word, values) for word in words if word]
    while rest and rest[0] in ("export", "declare", "readonly", "local", "env", "set", "ENV", "-x", "-gx"):
        rest = rest[1:]
    while rest and (found := _ASSIGN.fullmatch(rest[0])):
        values[found[1]] = found[2]
        seen += judge_environment(found[1], found[2], line)
        rest = rest[1:]
    return seen + judge_command(rest, line) if rest else seen


def expanded(text: str, known: Variables) -> str:
    """The text with the variables that are known filled in; others stay as they are."""
    if "$" not in text:
        return text
    for _ in range(3):
        before = text
        text = _VARIABLE.sub(lambda found: _value(found, known), text)[:_MAX_LINE]
        if text == before:
            break
    return text


def _value(found: re.Match[str], known: Variables) -> str:
    name = found[1] or found[3] or found[4]
    return known.get(name, found[2] if found[2] is not None else found[0])
