"""The simpler kinds: requirements, environment files, Makefiles, Jenkinsfiles and the like."""

from __future__ import annotations

import re

from registry_gate.enforce.audit.hubs import Says, hub_address, read_name
from registry_gate.enforce.audit.settings_words import judge_environment
from registry_gate.enforce.audit.shell import Variables, expanded, logical_lines, read_shell
from registry_gate.enforce.audit.sighting import NOTHING, Seen, Sighting

_ENTRY = re.compile(r"^\s*(?:export\s+|set\s+)?([A-Za-z_][\w.]*)\s*=\s*(.*?)\s*$")
_ADDRESS = re.compile(r"(?:git\+)?(?:https?|ssh)://[^\s#;\"']+|hf://\S+")
_SHELL_STEP = re.compile(
    r"""\b(?:sh|bat|powershell|bash)\b\s*\(?\s*(?:script\s*:\s*)?('''|\"\"\"|'|\")(.*?)\1""", re.DOTALL
)
_MAKE_VARIABLE = re.compile(r"^([A-Za-z_]\w*)\s*[:?+]?=\s*(.*)$")


def read_requirements(text: str) -> Seen:
    """Packages, indexes and links of a public hub in a requirements file."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        plain = re.sub(r"(?:^|\s)#.*$", "", line)
        for address in _ADDRESS.findall(plain):
            named = hub_address(address)
            if named is not None:
                found.append(
                    Sighting(
                        "model-dependency",
                        number,
                        "requirement",
                        plain.strip()[:200],
                        named.model,
                        named.revision,
                    )
                )
    return Seen(tuple(found))


def read_environment(text: str) -> Seen:
    """A file of ``NAME=value`` lines."""
    seen = NOTHING
    known: Variables = {}
    for number, line in enumerate(text.splitlines(), 1):
        found = _ENTRY.match(line) if not line.lstrip().startswith("#") else None
        if found is not None:
            value = re.sub(r"\s+#.*$", "", found[2])
            plain = expanded(value.strip().strip("\"'"), known)
            known[found[1]] = plain
            seen += judge_environment(found[1], plain, number)
    return seen


def read_makefile(text: str) -> Seen:
    """Recipes of a Makefile or justfile, with its plain variables."""
    known: Variables = {}
    seen = NOTHING
    for number, line, _, _ in logical_lines(text.replace("$$", "$")):
        if line.startswith(("\t", "    ", "@")):
            seen += read_shell(line.strip().lstrip("@-+").replace("\f", "\\\n"), known, first=number)
        elif found := _MAKE_VARIABLE.match(line):
            value = found[2].strip().strip("\"'")
            known[found[1]] = value
            seen += judge_environment(found[1], value, number)
    return seen


def read_groovy(text: str) -> Seen:
    """The shell steps of a Jenkinsfile, and what its environment sets."""
    seen = NOTHING
    plain = re.sub(r"(?m)^\s*//.*$", "", text)
    for found in _SHELL_STEP.finditer(plain):
        first = plain.count("\n", 0, found.start(2)) + 1
        seen += read_shell(found[2], first=first)
    for number, line in enumerate(plain.splitlines(), 1):
        entry = _ENTRY.match(line)
        if entry is not None:
            seen += judge_environment(entry[1], entry[2].strip("\"'"), number)
    return seen


def read_procfile(text: str) -> Seen:
    """``name: command`` lines."""
    seen = NOTHING
    for number, line in enumerate(text.splitlines(), 1):
        seen += read_shell(line.partition(":")[2].strip(), first=number)
    return seen


def read_modelfile(text: str) -> Seen:
    """The FROM and ADAPTER lines of an Ollama model file."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        word, _, value = line.strip().partition(" ")
        if word.upper() in ("FROM", "ADAPTER") and value.strip():
            named = read_name(value.strip().partition(":")[0])
            if named.says in (Says.HUB, Says.URL):
                found.append(
                    Sighting(
                        "hub-serve", number, f"Modelfile {word.upper()}", value.strip()[:200], named.model
                    )
                )
    return Seen(tuple(found))
