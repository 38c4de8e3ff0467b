"""Jupyter notebooks: the code cells together as one program, their magics and commands apart."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from registry_gate.enforce.audit.python_file import read_code
from registry_gate.enforce.audit.python_values import Modules
from registry_gate.enforce.audit.settings_words import judge_environment
from registry_gate.enforce.audit.shell import read_shell
from registry_gate.enforce.audit.sighting import NOTHING, Seen, Sighting

_SHELL_CELLS = ("%%bash", "%%sh", "%%!", "%%script bash", "%%script sh", "%%system", "%%shell")
_PYTHON_CELLS = ("%%time", "%%timeit", "%%capture", "%%prun", "%%python", "%%memit", "%%heat", "%%snakeviz")
_ASSIGNED = re.compile(r"^(\s*)[\w, ]+=\s*[!%](.*)$")
_MAGIC = re.compile(r"^(\s*)([!%])\s*(.*)$")
_HELP = re.compile(r"^\s*\?|\?\s*$")


def read_notebook(text: str, path: str, modules: Modules | None = None) -> Seen:
    """What a notebook shows; places are named by cell, counted from 1, and line within it."""
    cells = _cells(text)
    if isinstance(cells, Sighting):
        return Seen((cells,))
    seen = NOTHING
    program: list[str] = []
    places: list[tuple[int, int]] = []
    for number, source in enumerate(cells, 1):
        if source is None:
            continue
        code, found = _plain_code(source)
        seen += found.in_cell(number)
        lines = code.splitlines() or [""]
        program.extend(lines)
        places.extend((number, line) for line in range(1, len(lines) + 1))
    return seen + _judge_program(program, places, cells, path, modules)


def _judge_program(
    program: list[str],
    places: list[tuple[int, int]],
    cells: list[str | None],
    path: str,
    modules: Modules | None,
) -> Seen:
    whole = read_code("\n".join(program), path, modules)
    if any(item.rule == "could-not-tell" for item in whole.sightings):
        return _cell_by_cell(cells, path, modules)
    placed = []
    for item in whole.sightings:
        cell, line = places[min(item.line, len(places)) - 1] if places else (1, 1)
        placed.append(replace(item, cell=cell, line=line))
    roads = [
        replace(use, cell=places[use.line - 1][0], line=places[use.line - 1][1]) for use in whole.on_road
    ]
    return Seen(tuple(placed), tuple(roads), whole.notes)


def _cell_by_cell(cells: list[str | None], path: str, modules: Modules | None) -> Seen:
    """Where one cell does not parse, the others are still looked at, each by itself."""
    seen = NOTHING
    for number, source in enumerate(cells, 1):
        if source is not None:
            seen += read_code(_plain_code(source)[0], path, modules).in_cell(number)
    return seen


def _cells(text: str) -> list[str | None] | Sighting:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Sighting("could-not-tell", 1, "notebook", f"it is no JSON: {type(error).__name__}")
    if not isinstance(document, dict):
        return Sighting("could-not-tell", 1, "notebook", "it is no notebook: no object")
    cells = document.get("cells")
    if cells is None and isinstance(document.get("worksheets"), list):
        cells = [
            cell
            for sheet in document["worksheets"]
            if isinstance(sheet, dict)
            for cell in sheet.get("cells") or ()
        ]
    if not isinstance(cells, list):
        return Sighting("could-not-tell", 1, "notebook", "it is no notebook: it has no cells")
    return [_source(cell) for cell in cells]


def _source(cell: object) -> str | None:
    if not isinstance(cell, dict) or cell.get("cell_type") != "code":
        return None
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        return "".join(item for item in source if isinstance(item, str))
    return source if isinstance(source, str) else ""


def _plain_code(source: str) -> tuple[str, Seen]:
    """The Python of a cell with its magics taken out, and what those show."""
    stripped = source.lstrip()
    first = stripped.partition("\n")[0]
    if first.startswith(_SHELL_CELLS):
        return "", read_shell("\n" + stripped.partition("\n")[2])
    if first.startswith("%%") and not first.startswith(_PYTHON_CELLS):
        return "", NOTHING
    lines, seen = [], NOTHING
    for number, line in enumerate(source.splitlines(), 1):
        kept, found = _plain_line(line, number)
        lines.append(kept)
        seen += found
    return "\n".join(lines), seen


def _plain_line(line: str, number: int) -> tuple[str, Seen]:
    assigned = _ASSIGNED.match(line)
    if assigned is not None and "==" not in line:
        return f"{assigned[1]}pass", read_shell(assigned[2]).at(number)
    magic = _MAGIC.match(line)
    if magic is None:
        return ("" if _HELP.search(line) and not line.lstrip().startswith("#") else line), NOTHING
    return f"{magic[1]}pass", _magic(magic[2], magic[3], number)


def _magic(mark: str, text: str, number: int) -> Seen:
    if mark == "!":
        return read_shell(text.lstrip("!")).at(number)
    name, _, rest = text.lstrip("%").partition(" ")
    if name in ("env", "set_env"):
        key, _, value = rest.replace("=", " ", 1).partition(" ")
        return judge_environment(key, value, number)
    if name in ("sx", "system", "sh", "bash", "pip", "conda", "git", "huggingface-cli", "hf", "shell"):
        whole = rest if name in ("sx", "system", "sh", "bash", "shell") else f"{name} {rest}"
        return read_shell(whole).at(number)
    if name in ("time", "timeit", "prun", "memit"):
        return read_code(rest, "<text>", quiet=True).at(number)
    return NOTHING


def code_cells(text: str) -> list[str]:
    """The source of every cell by number, empty for those that hold no code."""
    cells = _cells(text)
    return [] if isinstance(cells, Sighting) else [source or "" for source in cells]
