"""Which files there are, of which kind, read with limits. What is not read is named."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from registry_gate.errors import UsageError

MAX_BYTES = 4 * 1024 * 1024
_MAX_FILES = 200_000
_MAX_DEPTH = 80
SKIPPED_FOLDERS = frozenset({
    ".git", ".hg", ".svn", "node_modules", ".venv", "venv", "__pycache__", ".tox", ".nox", ".mypy_cache",
    ".ruff_cache", ".pytest_cache", "site-packages", ".eggs", ".ipynb_checkpoints", ".hypothesis",
    ".terraform",
})  # fmt: skip


class FileKind(StrEnum):
    """What a file is read as."""

    PYTHON = "python"
    NOTEBOOK = "notebook"
    REQUIREMENTS = "requirements"
    DOCKERFILE = "dockerfile"
    YAML = "yaml"
    JSON = "json"
    TOML = "toml"
    SHELL = "shell"
    ENVIRONMENT = "environment"
    MAKEFILE = "makefile"
    GROOVY = "groovy"
    PROCFILE = "procfile"
    MODELFILE = "modelfile"
    LINES = "lines"


_SUFFIXES = {
    FileKind.PYTHON: ".py .pyw",
    FileKind.NOTEBOOK: ".ipynb",
    FileKind.YAML: ".yaml .yml .tpl",
    FileKind.JSON: ".json .jsonc",
    FileKind.TOML: ".toml",
    FileKind.SHELL: ".sh .bash .zsh .ksh .command .slurm .sbatch",
    FileKind.ENVIRONMENT: ".env",
    FileKind.MAKEFILE: ".mk",
    FileKind.GROOVY: ".groovy .jenkinsfile",
    FileKind.LINES: ".cfg .ini .conf .service .properties",
    FileKind.DOCKERFILE: ".dockerfile .containerfile",
}
_BY_SUFFIX = {suffix: kind for kind, several in _SUFFIXES.items() for suffix in several.split()}
_BY_NAME = (
    (re.compile(r"(?:docker|container)file(?:[.-].*)?$", re.IGNORECASE), FileKind.DOCKERFILE),
    (
        re.compile(r".*requirements.*\.(?:txt|in)$|constraints.*\.(?:txt|in)$", re.IGNORECASE),
        FileKind.REQUIREMENTS,
    ),
    (
        re.compile(r"\.env(?:\..+)?$|.*\.env\.(?:example|sample|template|dist|local)$|\.envrc$"),
        FileKind.ENVIRONMENT,
    ),
    (re.compile(r"(?:GNU)?[Mm]akefile(?:\..*)?$|[Jj]ustfile$|\.justfile$"), FileKind.MAKEFILE),
    (re.compile(r"Jenkinsfile(?:[.-].*)?$"), FileKind.GROOVY),
    (re.compile(r"Procfile(?:[.-].*)?$"), FileKind.PROCFILE),
    (re.compile(r"Modelfile(?:[.-].*)?$"), FileKind.MODELFILE),
    (re.compile(r"environment\.ya?ml$"), FileKind.YAML),
    (re.compile(r"Pipfile$|uv\.lock$|poetry\.lock$|pdm\.lock$"), FileKind.TOML),
)


@dataclass(frozen=True, slots=True)
class Source:
    """One file read as text. ``shown`` is its path as reports name it, with forward slashes."""

    shown: str
    path: Path
    kind: FileKind
    text: str


@dataclass(frozen=True, slots=True)
class Unread:
    """One file or folder that was not looked at, and why. ``serious`` where a build must not pass over it."""

    shown: str
    why: str
    serious: bool = True


def walk(paths: tuple[Path, ...], excluded: tuple[str, ...] = ()) -> Iterator[Source | Unread]:
    """Every file of a known kind below the paths, in order of name; links to folders are not followed.

    Args:
        paths: files and folders.
        excluded: glob patterns over the path as shown.

    Raises:
        UsageError: ``no-such-path``.
    """
    count = 0
    for path, shown in _below(paths, excluded):
        if isinstance(path, str):
            yield Unread(shown, path, serious=False)
            continue
        count += 1
        if count > _MAX_FILES:
            yield Unread(shown, f"more than {_MAX_FILES} files: the rest was not looked at")
            return
        found = read_file(path, shown)
        if found is not None:
            yield found


def _below(paths: tuple[Path, ...], excluded: tuple[str, ...]) -> Iterator[tuple[Path | str, str]]:
    for path in paths:
        if path.is_file() or (path.exists() and not path.is_dir()):
            yield path, _shown(path)
        elif path.is_dir():
            yield from _in_folder(path, excluded)
        else:
            raise UsageError(
                "no-such-path", f"{str(path)[:200]!r} is not there", todo="name files or folders that exist"
            )


def _in_folder(root: Path, excluded: tuple[str, ...]) -> Iterator[tuple[Path | str, str]]:
    for folder, folders, files in os.walk(root, onerror=None):
        here = Path(folder)
        if len(here.parts) - len(root.parts) > _MAX_DEPTH:
            folders.clear()
            yield f"deeper than {_MAX_DEPTH} folders", _shown(here)
        for name in sorted(folders):
            if name in SKIPPED_FOLDERS or _excluded(here / name, excluded):
                folders.remove(name)
        folders.sort()
        for name in sorted(files):
            if not _excluded(here / name, excluded):
                yield here / name, _shown(here / name)


def _excluded(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(path.match(pattern.rstrip("/")) or _under(path, pattern) for pattern in patterns)


def _under(path: Path, pattern: str) -> bool:
    """``tests/**`` and a plain folder cover what is below them."""
    plain = pattern.removesuffix("/**").removesuffix("/*").rstrip("/")
    return f"/{plain}/" in f"/{_shown(path)}/"


def _shown(path: Path) -> str:
    text = path.as_posix().removeprefix("./")
    return text.encode("utf-8", "backslashreplace").decode()


def kind_of(path: Path, beginning: bytes = b"") -> FileKind | None:
    """What a file is read as, by its name, else by its first line; None where it is not read."""
    for pattern, kind in _BY_NAME:
        if pattern.match(path.name):
            return kind
    known = _BY_SUFFIX.get(path.suffix.lower())
    if known is not None or not beginning.startswith(b"#!"):
        return known
    line = beginning.partition(b"\n")[0]
    if b"python" in line:
        return FileKind.PYTHON
    return FileKind.SHELL if re.search(rb"/(?:env )?(?:ba|da|z|k|a)?sh\b", line) else None


def read_file(path: Path, shown: str) -> Source | Unread | None:
    """One file as text; None where it is of no kind that is read."""
    if kind_of(path) is None and path.suffix:
        return None
    try:
        # Without O_NONBLOCK a named pipe would be waited for without end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Unread(shown, error.strerror or "cannot be opened")
    with os.fdopen(descriptor, "rb") as file:
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return Unread(shown, "it is no plain file")
            data = file.read(MAX_BYTES + 1)
        except OSError as error:
            return Unread(shown, error.strerror or "cannot be read")
    return _decoded(path, shown, data)


def _decoded(path: Path, shown: str, data: bytes) -> Source | Unread | None:
    kind = kind_of(path, data[:200])
    if kind is None:
        return None
    if len(data) > MAX_BYTES:
        return Unread(shown, f"larger than {MAX_BYTES} bytes", serious=kind is not FileKind.JSON)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _as_text(path, shown, kind, data, "utf-16")
    if b"\0" in data:
        return Unread(shown, "it is binary, though its name says text")
    return _as_text(path, shown, kind, data, _declared(kind, data))


def _declared(kind: FileKind, data: bytes) -> str:
    """The encoding that a Python file names in its first two lines."""
    found = re.search(
        rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", b"\n".join(data.split(b"\n", 2)[:2]), re.MULTILINE
    )
    return found[1].decode("ascii") if found and kind is FileKind.PYTHON else "utf-8-sig"


def _as_text(path: Path, shown: str, kind: FileKind, data: bytes, encoding: str) -> Source | Unread:
    try:
        return Source(shown, path, kind, data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n"))
    except (UnicodeDecodeError, LookupError):
        return Unread(shown, f"it is not {encoding.removesuffix('-sig')[:40]} text")
