"""From a file to what it shows, by its kind."""

from __future__ import annotations

from collections.abc import Callable

from registry_gate.enforce.audit.dockerfile import read_dockerfile
from registry_gate.enforce.audit.notebook import read_notebook
from registry_gate.enforce.audit.project import Project
from registry_gate.enforce.audit.python_file import read_code
from registry_gate.enforce.audit.shell import read_shell
from registry_gate.enforce.audit.sighting import Seen, Sighting
from registry_gate.enforce.audit.texts import (
    read_environment,
    read_groovy,
    read_makefile,
    read_modelfile,
    read_procfile,
    read_requirements,
)
from registry_gate.enforce.audit.trees import read_json, read_lines, read_toml, read_yaml
from registry_gate.enforce.audit.walk import FileKind, Source

_READERS: dict[FileKind, Callable[[str], Seen]] = {
    FileKind.REQUIREMENTS: read_requirements,
    FileKind.DOCKERFILE: read_dockerfile,
    FileKind.YAML: read_yaml,
    FileKind.JSON: read_json,
    FileKind.TOML: read_toml,
    FileKind.SHELL: read_shell,
    FileKind.ENVIRONMENT: read_environment,
    FileKind.MAKEFILE: read_makefile,
    FileKind.GROOVY: read_groovy,
    FileKind.PROCFILE: read_procfile,
    FileKind.MODELFILE: read_modelfile,
    FileKind.LINES: read_lines,
}


def read_source(source: Source, project: Project) -> Seen:
    """What one file shows. A reader that fails on a file is a finding about that file."""
    try:
        if source.kind is FileKind.PYTHON:
            return read_code(source.text, source.shown, project, deep=project.worth_reading(source))
        if source.kind is FileKind.NOTEBOOK:
            return read_notebook(source.text, source.shown, project)
        return _READERS[source.kind](source.text)
    except (
        RecursionError,
        MemoryError,
        ValueError,
        IndexError,
        KeyError,
        AttributeError,
        TypeError,
    ) as error:
        # Whatever a hostile file does to a reader, the others are read, and this one is not passed over.
        detail = f"the reader gave up: {type(error).__name__}: {str(error)[:120]}"
        return Seen((Sighting("could-not-tell", 1, source.kind.value, detail),))
