"""The state of the symbolic pickle machine: stack, marks, memo, and the record of what a stream would do.

Stack, marks and memo behave as in CPython 3.11 ``Modules/_pickle.c``.
"""

from __future__ import annotations

import _compat_pickle
import re
from collections import Counter

from registry_gate.evidence import Problem
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.opcodes import Buffer, Malformed
from registry_gate.formats.pickle_values import (
    Call,
    Global,
    Value,
    render,
)
from registry_gate.formats.shown import shorten

MAX_NAME = 512
_MAX_SUSPECTS = 4096
_SHORTEST = 4
_GLANCE = 320
_LIKELY = re.compile(rb"(?:\xc2)?\x80[\x00-\x05]|[^\n]{0,32}?[ci][^\n]{1,128}\n[^\n]{1,128}\n")
"""A protocol marker (as UTF-8 of latin-1 text, too), or an import within the first bytes."""
_LINES_PER_FUNCTION = 8  # so that a hostile call stays visible between thousands of honest ones


class Machine:
    """One run over one stream.

    Attributes:
        result: what STOP returned; only meaningful when ``complete``.
        globals: offset of the first sight of each (module, name, use).
        calls: how many calls, instantiations and state changes were seen.
        suspects: (offset, length) of literals that look like pickles themselves; ``overlooked`` counts those
            beyond the limit.
        offset: where the machine stands; after ``run`` the first byte after STOP, or the instruction it
            stopped at.
    """

    def __init__(self, data: Buffer, start: int, end: int, limits: ReaderLimits, max_opcodes: int) -> None:
        self.data = data
        self.end = end
        self.limits = limits
        self.max_opcodes = max_opcodes
        self.offset = start
        self.at = start
        self.frame_end: int | None = None
        self.protocol = 0
        self.opcodes = 0
        self.stack: list[Value] = []
        self.marks: list[int] = []
        self.memo: dict[int, Value] = {}
        self.globals: dict[tuple[str, str, str], int] = {}
        self.problems: list[Problem] = []
        self.lines: list[str] = []
        self.shown: Counter[str] = Counter()
        self.hidden = 0
        self.suspects: list[tuple[int, int]] = []
        self.overlooked = 0
        self.calls = 0
        self.stopped = False
        self.result: Value = None

    @property
    def complete(self) -> bool:
        """True when every instruction up to STOP was understood."""
        return self.stopped and not self.problems

    def problem(self, code: str, detail: str, offset: int | None = None) -> None:
        """Record something that is not understood; the run is no longer complete."""
        if len(self.problems) < self.limits.max_problems:
            where = self.at if offset is None else offset
            self.problems.append(Problem(code=code, detail=shorten(detail, 200), offset=where))

    def glance_inside(self, offset: int, length: int) -> None:
        """Remember a literal that begins like a pickle."""
        if length < _SHORTEST:
            return
        if _LIKELY.match(self.data[offset : offset + min(length, _GLANCE)]):
            if len(self.suspects) < _MAX_SUSPECTS:
                self.suspects.append((offset, length))
            else:
                self.overlooked += 1

    # the stack: nothing below the last mark can be taken

    @property
    def _fence(self) -> int:
        return self.marks[-1] if self.marks else 0

    def pop(self) -> Value:
        """Take the top of the stack."""
        if len(self.stack) <= self._fence:
            raise Malformed(self.at, "the stack is empty where an object is needed")
        return self.stack.pop()

    def top(self) -> Value:
        """Look at the top of the stack."""
        if len(self.stack) <= self._fence:
            raise Malformed(self.at, "the stack is empty where an object is needed")
        return self.stack[-1]

    def pop_mark(self) -> list[Value]:
        """Take everything above the last mark, and the mark."""
        if not self.marks:
            raise Malformed(self.at, "there is no mark on the stack")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    # names

    def use(self, found: Global, use: str) -> None:
        """Record a use of an import, under its own name and under the one Python 3 maps old names to."""
        own = (found.module, found.name)
        for module, name in dict.fromkeys((own, _mapped(*own))):
            if len(self.globals) >= self.limits.max_globals:
                raise Malformed(self.at, f"more than {self.limits.max_globals} imports")
            self.globals.setdefault((module, name, use), self.at)

    def bring_in(self, module: Value, name: Value) -> Global | None:
        """Import a name; None, and a problem, where the name is not constant."""
        if not (isinstance(module, str) and isinstance(name, str) and _is_name(module) and _is_name(name)):
            self.problem("pickle-computed-name", f"imports {render(name)} from {render(module)}")
            return None
        found = Global(module, name)
        self.use(found, "import")
        return found

    def call(self, function: Value, arguments: Value, shape: str) -> Call:
        """Record a call of an object; the result stays unknown."""
        self.calls += 1
        plain = function if isinstance(function, Global) else None
        if plain is None:
            self.problem("pickle-computed-call", f"calls {render(function)}, which is not an imported name")
        else:
            self.use(plain, "call")
        result = Call(plain, arguments, self.calls)
        if self.has_room(plain.path if plain else "?"):
            self.show(f"v{self.calls} = " + shape.format(f=render(function), a=render(arguments)))
        return result

    def has_room(self, name: str) -> bool:
        """True for the first few lines of a function; the others are only counted."""
        self.shown[name] += 1
        if self.shown[name] <= _LINES_PER_FUNCTION and len(self.lines) < self.limits.max_program_lines:
            return True
        self.hidden += 1
        return False

    def show(self, line: str) -> None:
        """Add a line to the readable program."""
        self.lines.append(shorten(f"{self.at}: {line}", 320))

    def change(self, target: Value, method: str, argument: Value) -> None:
        """Record a state change (BUILD, SETITEM, APPEND, ADDITEMS) of something that is no plain literal."""
        self.calls += 1
        if isinstance(target, Global):
            self.problem("pickle-alters-import", f"changes the imported {render(target)} itself")
        elif not isinstance(target, Call):
            raise Malformed(self.at, f"{method} on {render(target)}")
        function = target if isinstance(target, Global) else target.function
        if function is not None:
            self.use(function, "build")
        if self.has_room(f"{method} {function.path if function else '?'}"):
            self.show(f"{render(target)}.{method}({render(argument)})")

    def remember(self, key: int) -> None:
        """Store the top of the stack in the memo."""
        if key < 0:
            raise Malformed(self.at, "a negative memo key")
        self.memo[key] = self.top()

    def recall(self, key: int) -> None:
        """Push what the memo holds."""
        if key not in self.memo:
            raise Malformed(self.at, f"memo key {key} was never set")
        self.stack.append(self.memo[key])


def _is_name(text: str) -> bool:
    """Short enough to keep whole, and encodable: a lone surrogate cannot stand in any record."""
    return 0 < len(text) <= MAX_NAME and not any("\ud800" <= character <= "\udfff" for character in text)


def _mapped(module: str, name: str) -> tuple[str, str]:
    """The Python 3 name that ``fix_imports`` turns a Python 2 name into (``_compat_pickle``)."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[module, name]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name
