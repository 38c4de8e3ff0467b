"""The Python modules of the audited tree, found by dotted name, parsed when needed and kept a while."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import PurePosixPath

from registry_gate.enforce.audit.python_file import interesting, parse
from registry_gate.enforce.audit.python_scope import Module
from registry_gate.enforce.audit.walk import FileKind, Source

_KEPT = 128
_IMPORTS = re.compile(r"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import|import[ \t]+([\w., \t]+))", re.MULTILINE)


class Project:
    """Resolves imports within the tree. Nothing is imported; files are parsed."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources: dict[str, Source] = {}
        self._by_name: dict[str, list[str]] = {}
        self._kept: OrderedDict[str, Module | None] = OrderedDict()
        for source in sources:
            if source.kind is FileKind.PYTHON:
                self._add(source)
        self._telling = {self._stem(shown) for shown, one in self._sources.items() if interesting(one.text)}

    def _add(self, source: Source) -> None:
        self._sources[source.shown] = source
        parts = PurePosixPath(source.shown).with_suffix("").parts
        if parts and parts[-1] == "__init__":
            parts = parts[:-1]
        for start in range(len(parts)):
            self._by_name.setdefault(".".join(parts[start:]), []).append(source.shown)

    def _stem(self, shown: str) -> str:
        path = PurePosixPath(shown)
        return path.parent.name if path.name == "__init__.py" else path.stem

    def worth_reading(self, source: Source) -> bool:
        """Whether a file may hold a finding: by its words, or because it imports from a file that may."""
        if interesting(source.text):
            return True
        for found in _IMPORTS.finditer(source.text):
            names = re.split(r"[.,\s]+", found[1] or found[2])
            if self._telling.intersection(names):
                return True
        return False

    def find(self, dotted: str, level: int, importer: str) -> tuple[Module, str] | None:
        """The module of the tree that a dotted name is in, and what of the name remains; None if in none."""
        parts = dotted.split(".")
        base = PurePosixPath(importer).parent
        for _ in range(level - 1):
            base = base.parent
        for cut in range(len(parts), 0, -1):
            shown = self._path(parts[:cut], level, base, importer)
            module = self._module(shown) if shown else None
            if module is not None:
                return module, ".".join(parts[cut:])
        return self._package(base, dotted) if level else None

    def _package(self, base: PurePosixPath, dotted: str) -> tuple[Module, str] | None:
        """``from . import name``: a name of the package's own ``__init__``."""
        shown = (base / "__init__.py").as_posix()
        module = self._module(shown) if shown in self._sources else None
        return (module, dotted) if module is not None else None

    def _path(self, parts: list[str], level: int, base: PurePosixPath, importer: str) -> str | None:
        if level:
            for candidate in (
                base.joinpath(*parts).with_suffix(".py"),
                base.joinpath(*parts) / "__init__.py",
            ):
                if candidate.as_posix() in self._sources:
                    return candidate.as_posix()
            return None
        found = [shown for shown in self._by_name.get(".".join(parts), ()) if shown != importer]
        if len(parts) == 1:
            found = [shown for shown in found if self._beside(shown, importer)]
        return max(found, key=lambda shown: _shared(shown, importer)) if found else None

    def _beside(self, shown: str, importer: str) -> bool:
        """A bare name is a file beside the importer, or at a source root: not any file that is called so."""
        path = PurePosixPath(shown)
        folder = path.parent.parent if path.name == "__init__.py" else path.parent
        return folder in PurePosixPath(importer).parents

    def _module(self, shown: str) -> Module | None:
        if shown in self._kept:
            self._kept.move_to_end(shown)
            return self._kept[shown]
        parsed = parse(self._sources[shown].text, shown)
        module = parsed if isinstance(parsed, Module) else None
        self._kept[shown] = module
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return module


def _shared(one: str, other: str) -> int:
    """How many folders two paths share from the left."""
    count = 0
    for left, right in zip(one.split("/"), other.split("/"), strict=False):
        if left != right:
            break
        count += 1
    return count
