"""YAML, JSON and TOML: every scalar with the keys that lead to it, and the commands among them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from registry_gate.enforce.audit.settings_words import judge_environment, judge_setting, plain_key
from registry_gate.enforce.audit.shell import judge_words, read_shell
from registry_gate.enforce.audit.sighting import NOTHING, Seen

_COMMANDS = frozenset({
    "args", "command", "cmd", "entrypoint", "script", "run", "before_script", "after_script", "commands",
    "post_create_command", "on_create_command", "update_content_command", "post_start_command",
    "post_attach_command", "shell", "sh", "bash", "exec", "setup", "install", "test", "build", "start",
    "extra_args", "extraargs", "exec_start", "inline", "inline_script", "steps", "tasks", "pre_build",
    "post_build", "pre_install", "arguments", "dockerfile_inline", "build_commands", "run_command",
    "startup_script", "user_data", "launch", "ansible_builtin_shell", "ansible_builtin_command",
    "container_args", "container_command", "engine_args",
})  # fmt: skip
_SKIPPED = frozenset(
    {
        "labels",
        "annotations",
        "dependencies",
        "devDependencies",
        "peerDependencies",
        "properties",
        "required",
        "paths",
        "description",
        "title",
        "keywords",
        "classifiers",
        "$schema",
    }
)
_LINE = re.compile(r"^\s*(?:-\s+)?[\"']?([\w.-]{1,80})[\"']?\s*[:=]\s*(.+?)\s*,?$")
_PYTHON_KEYS = frozenset({"python", "code", "source", "notebook_code"})
_MAX_NODES = 200_000


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar of a document: its keys from the root, its text, its line."""

    keys: tuple[str, ...]
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of scalars."""

    keys: tuple[str, ...]
    texts: tuple[tuple[str, int], ...]


Part = Leaf | Listed


def read_yaml(text: str) -> Seen:
    """What a file of YAML documents shows; templates that are no YAML are read line by line."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        documents = list(yaml.compose_all(text, Loader=loader))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problem = "it is nested too deeply" if isinstance(error, RecursionError) else "it is no plain YAML"
        return read_lines(text) + Seen(notes=(f"{problem}: read line by line",))
    seen = NOTHING
    for document in documents:
        if document is not None:
            seen += _judge_parts(_of_nodes(document))
    return seen


def _of_nodes(root: yaml.Node) -> Iterator[Part]:
    """Every scalar once: aliases are not followed twice, so that no document unfolds without end."""
    visited: set[int] = set()
    stack: list[tuple[yaml.Node, tuple[str, ...]]] = [(root, ())]
    while stack and len(visited) < _MAX_NODES:
        node, keys = stack.pop()
        if id(node) in visited and not isinstance(node, yaml.ScalarNode):
            continue
        visited.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield from _named_values(node, keys)
            yield from _whole_command(node, keys)
            stack.extend((value, (*keys, str(key.value))) for key, value in reversed(node.value))
        elif isinstance(node, yaml.SequenceNode):
            scalars = [
                (item.value, _line_of(item)) for item in node.value if isinstance(item, yaml.ScalarNode)
            ]
            if scalars:
                yield Listed(keys, tuple(scalars))
            stack.extend(
                (item, keys) for item in reversed(node.value) if not isinstance(item, yaml.ScalarNode)
            )
        else:
            yield Leaf(keys, node.value, _line_of(node))


def _line_of(node: yaml.Node) -> int:
    block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    return int(node.start_mark.line) + (2 if block else 1)


def _named_values(node: yaml.MappingNode, keys: tuple[str, ...]) -> Iterator[Part]:
    """``{name: X, value: Y}`` sets a variable, in Kubernetes and elsewhere."""
    found = {str(key.value): value for key, value in node.value if isinstance(value, yaml.ScalarNode)}
    if "name" in found and "value" in found and found["name"].value:
        yield Leaf((*keys, found["name"].value), found["value"].value, _line_of(found["value"]))


def _whole_command(node: yaml.MappingNode, keys: tuple[str, ...]) -> Iterator[Part]:
    """A container's ``command`` and ``args`` are one argument vector."""
    found = {str(key.value): value for key, value in node.value if isinstance(value, yaml.SequenceNode)}
    for first, second in (("command", "args"), ("entrypoint", "command")):
        if first in found and second in found:
            scalars = [
                item
                for name in (first, second)
                for item in found[name].value
                if isinstance(item, yaml.ScalarNode)
            ]
            yield Listed((*keys, "command"), tuple((item.value, _line_of(item)) for item in scalars))


def read_json(text: str) -> Seen:
    """What a JSON document shows."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return read_lines(text) + Seen(notes=("it is no plain JSON: read line by line",))
    return _judge_parts(_of_values(document, _Lines(text)))


def read_toml(text: str) -> Seen:
    """What a TOML document shows."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError):
        return read_lines(text) + Seen(notes=("it is no plain TOML: read line by line",))
    return _judge_parts(_of_values(document, _Lines(text)))


class _Lines:
    """Finds the line a value stands on: parsers of JSON and TOML do not say."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()

    def find(self, key: str, value: str) -> int:
        """The first line with both, else with the value, else 1."""
        start = value[:60].partition("\n")[0]
        wanted = json.dumps(start)[1:-1][:40]
        with_value = [
            number for number, line in enumerate(self._lines, 1) if start[:40] in line or wanted in line
        ]
        both = [number for number in with_value if key in self._lines[number - 1]]
        return (both or with_value or [1])[0]


def _of_values(root: object, lines: _Lines) -> Iterator[Part]:
    stack: list[tuple[object, tuple[str, ...]]] = [(root, ())]
    count = 0
    while stack and count < _MAX_NODES:
        value, keys = stack.pop()
        count += 1
        if isinstance(value, dict):
            name, given = value.get("name"), value.get("value")
            if isinstance(name, str) and isinstance(given, str | int | bool):
                yield Leaf((*keys, name), _scalar(given), lines.find(name, _scalar(given)))
            stack.extend((item, (*keys, str(key))) for key, item in reversed(list(value.items())))
        elif isinstance(value, list):
            scalars = tuple((item, lines.find("", item)) for item in value if isinstance(item, str))
            if scalars:
                yield Listed(keys, scalars)
            stack.extend((item, keys) for item in reversed(value) if not isinstance(item, str))
        elif value is not None and (isinstance(value, str) or _switch_like(keys)):
            text = _scalar(value)
            yield Leaf(keys, text, lines.find(keys[-1] if keys else "", text))


def _switch_like(keys: tuple[str, ...]) -> bool:
    """Numbers and booleans matter in switches only; to find the line of each number would take long."""
    return bool(keys) and plain_key(keys[-1]).endswith(("trust_remote_code", "use_safetensors", "_offline"))


def _scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _judge_parts(parts: Iterator[Part]) -> Seen:
    seen: list[Seen] = []
    for part in parts:
        if isinstance(part, Leaf) and _SKIPPED.intersection(part.keys):
            continue
        seen.append(_judge_leaf(part) if isinstance(part, Leaf) else _judge_list(part))
    kept: dict[tuple[object, ...], object] = {}
    for item in (item for one in seen for item in one.sightings):
        kept.setdefault((item.rule, item.line, item.model), item)
    return Seen(tuple(kept.values()), tuple(use for one in seen for use in one.on_road))  # type: ignore[arg-type]


def _is_command(keys: tuple[str, ...]) -> bool:
    return any(plain_key(key) in _COMMANDS for key in keys[-1:]) or "scripts" in keys[-2:-1]


def _judge_leaf(part: Leaf) -> Seen:
    if _is_command(part.keys) and (" " in part.text or "\n" in part.text):
        folded = part.text if "\n" in part.text else part.text.strip()
        return read_shell(folded, first=part.line)
    if "\n" in part.text:
        return _embedded(part)
    name = part.keys[-1] if part.keys else ""
    seen = judge_environment(name, part.text, part.line)
    if len(part.keys) > 1 and not seen.sightings:
        seen = judge_setting(part.keys, part.text, part.line)
    return seen


def _embedded(part: Leaf) -> Seen:
    """A text of several lines: a script or program kept in a ConfigMap, or a document of its own."""
    name = part.keys[-1] if part.keys else ""
    if name.endswith(".py") or plain_key(name) in _PYTHON_KEYS:
        from registry_gate.enforce.audit.python_file import read_snippet

        return read_snippet(part.text).moved(part.line - 1)
    if name.endswith((".sh", ".bash")) or part.text.startswith("#!"):
        return read_shell(part.text, first=part.line)
    if name.endswith((".yaml", ".yml", ".json", ".toml", ".env", ".properties", ".conf")):
        return read_lines(part.text).moved(part.line - 1)
    return NOTHING


def _judge_list(part: Listed) -> Seen:
    """A list: an argument vector, lines of a script, ``NAME=value`` pairs, or settings."""
    texts = [text for text, _ in part.texts]
    if _is_command(part.keys):
        if any(" " in text and not text.startswith("-") for text in texts) and not _is_vector(texts):
            return _each(part)
        if _is_vector(texts) and (script := _script_of(part)):
            return read_shell(script[0], first=script[1])
        seen = judge_words(texts, part.texts[0][1])
        return Seen(
            tuple(item.at(_place(part, item.detail, item.line)) for item in seen.sightings), seen.on_road
        )
    seen = NOTHING
    for text, line in part.texts:
        name, equals, value = text.partition("=")
        if equals and re.fullmatch(r"[A-Za-z_]\w*", name):
            seen += judge_environment(name, value, line)
        else:
            seen += judge_setting(part.keys, text, line)
    return seen


def _each(part: Listed) -> Seen:
    seen = NOTHING
    for text, line in part.texts:
        seen += read_shell(text, first=line)
    return seen


def _is_vector(texts: list[str]) -> bool:
    """``sh -c SCRIPT`` is one command; a list of lines is several."""
    program = texts[0].rpartition("/")[2]
    return program in ("sh", "bash", "python", "python3", "zsh", "ash") and any(
        re.fullmatch(r"-[a-z]*c", text) for text in texts[1:3]
    )


def _script_of(part: Listed) -> tuple[str, int] | None:
    """The script of ``sh -c SCRIPT`` and its first line; None for another program than a shell."""
    if part.texts[0][0].rpartition("/")[2] not in ("sh", "bash", "zsh", "ash"):
        return None
    for number, (text, _) in enumerate(part.texts[:-1]):
        if re.fullmatch(r"-[a-z]*c", text):
            return part.texts[number + 1]
    return None


def _place(part: Listed, detail: str, default: int) -> int:
    """The line of the argument that was found, in a vector over several lines."""
    return next((line for text, line in part.texts if detail and text.startswith(detail[:60])), default)


def read_lines(text: str) -> Seen:
    """Line by line: settings, and commands; for files that are what they are by name only."""
    seen = NOTHING
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(("#", ";", "//")) or len(line) > 4000:
            continue
        found = _LINE.match(line)
        if found is not None:
            value = re.sub(r"\s+#.*$", "", found[2]).strip("\"'")
            seen += judge_environment(found[1], value, number)
            if plain_key(found[1]) in _COMMANDS or plain_key(found[1]).startswith("exec"):
                seen += read_shell(value).at(number)
        elif "{{" not in line:
            seen += read_shell(line.strip().removeprefix("- "), first=number)
    return seen
