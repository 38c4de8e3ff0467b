"""CPython's own unpicklers as oracle: what they would import and call, with everything imported kept inert.

Nothing is imported: ``find_class`` answers with a class that only notes what is done to it. Used by the fuzz
target and by the tests; the product never unpickles anything.
"""

from __future__ import annotations

import io
import pickle
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.pickle_program import Program, interpret

LIMITS = ReaderLimits(max_pickle_opcodes=20_000, max_nested_opcodes=5_000)
_SPARE = 32 << 20
"""Bytes the oracle may take beyond what the process has; memo keys and lengths can cost CPython gigabytes."""


@dataclass
class Deeds:
    """What an unpickler did: names imported, called (or instantiated) and changed; calls of anything else."""

    imported: set[tuple[str, str]] = field(default_factory=set)
    called: set[tuple[str, str]] = field(default_factory=set)
    changed: set[tuple[str, str]] = field(default_factory=set)
    computed: int = 0
    end: int | None = None


_now: list[Deeds] = [Deeds()]
"""Whose deeds are noted: classes are made once a name, unpicklers run one after the other."""


@lru_cache(maxsize=4096)
def _inert(module: str, name: str) -> type:
    """A class that notes its own use and does nothing."""

    class Meta(type):
        def __call__(cls, *_args: object, **_keywords: object) -> object:
            _now[0].called.add((module, name))
            return object.__new__(cls)

        def __setattr__(cls, attribute: str, value: object) -> None:
            _now[0].computed += 1

        def __setitem__(cls, key: object, value: object) -> None:
            _now[0].computed += 1

    class Inert(metaclass=Meta):
        def __new__(cls, *_args: object, **_keywords: object) -> object:
            _now[0].called.add((module, name))
            return object.__new__(cls)

        def __call__(self, *_args: object) -> object:
            _now[0].computed += 1
            return self

        def note(self, *_args: object) -> None:
            _now[0].changed.add((module, name))

        __setstate__ = __setitem__ = append = extend = add = update = note

    return Inert


class _Watched:
    """Mixed into an unpickler: imports and persistent ids end here."""

    deeds: Deeds

    def find_class(self, module: str, name: str) -> type:
        """Note the name and hand out an inert class."""
        self.deeds.imported.add((module, name))
        return _inert(module, name)

    def persistent_load(self, _identifier: object) -> object:
        """An object that can do nothing."""
        return object()


class CUnpickler(_Watched, pickle.Unpickler):
    """The unpickler in C."""


class PythonUnpickler(_Watched, pickle._Unpickler):  # type: ignore[misc,name-defined]  # a private name
    """The unpickler in Python."""


@contextmanager
def _little_memory() -> Iterator[None]:
    with Path("/proc/self/statm").open("rb", buffering=0) as file:
        used = int(file.read(64).split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + _SPARE, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def deeds_of(kind: type[CUnpickler] | type[PythonUnpickler], data: bytes) -> Deeds:
    """Run an unpickler; ``end`` stays None where it failed."""
    file = io.BytesIO(data)
    unpickler = kind(file)
    _now[0] = unpickler.deeds = Deeds()
    try:
        with _little_memory():
            unpickler.load()
    except Exception:  # whatever a broken stream makes CPython raise
        return unpickler.deeds
    unpickler.deeds.end = file.tell()
    return unpickler.deeds


def disagreement(program: Program, deeds: Deeds) -> str:
    """Why our reading of a stream is not safe to go by, beside what an unpickler did; empty where it is.

    A program that is not complete is refused, so only a complete one must have seen everything.
    """
    if not program.complete:
        return ""
    uses = program.pickles[0].globals
    seen = {(use.module, use.name) for use in uses}
    did = {(use.module, use.name) for use in uses if use.use.startswith(("call ", "new "))}
    set_ = {(use.module, use.name) for use in uses if not use.use.startswith(("call ", "new ", "import"))}
    for what, theirs, ours in (
        ("imported", deeds.imported, seen),
        ("called", deeds.called, did),
        ("changed", deeds.changed, set_),
    ):
        if theirs - ours:
            return f"{what} but not seen: {sorted(theirs - ours)[:3]}"
    if deeds.computed:
        return "something that is no imported name was called or an import changed"
    if deeds.end is not None and deeds.end != program.end:
        return f"{deeds.end} bytes were read, ours are {program.end}"
    return ""


def compare(data: bytes) -> str:
    """Interpret a stream, run both unpicklers on it, and say where ours is not safe to go by."""
    program = interpret(data, LIMITS)
    for kind in (CUnpickler, PythonUnpickler):
        found = disagreement(program, deeds_of(kind, data))
        if found:
            return f"{kind.__name__}: {found}"
    return ""
