"""The state of the symbolic pickle machine: stack, marks, memo, and the record of what a stream would do.

Stack, marks and memo behave as in CPython 3.11 ``Modules/_pickle.c``.
"""

from __future__ import annotations

import _compat_pickle
import mmap
from collections import Counter

from registry_gate.evidence import Problem
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.opcodes import Buffer, Malformed
from registry_gate.formats.pickle_nested import Literal, is_likely
from registry_gate.formats.pickle_shapes import Walk, shape_text
from registry_gate.formats.pickle_values import (
    Call,
    DictValue,
    Global,
    Value,
    render,
)
from registry_gate.formats.shown import shorten

MAX_NAME = 512
_SPARE_KEYS = 4096
_MAX_SUSPECTS = 4096
_SHORTEST = 4
_WINDOW = 16 * 1024 * 1024  # bytes of a mapped file that stay in memory
_LINES_PER_FUNCTION = 8  # so that a hostile call stays visible between thousands of honest ones


class Machine:
    """One run over one stream.

    Attributes:
        result: what STOP returned; only meaningful when ``complete``.
        globals: offset of the first sight of each (module, name, use); a use is a verb, and behind calls
            and state changes a blank and the shape of what they are given (see ``pickle_shapes``).
        calls: how many calls, instantiations and state changes were seen.
        suspects: literals that look like pickles; ``overlooked`` counts those beyond the limit.
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
        self.release_at = start + _WINDOW if isinstance(data, mmap.mmap) else end
        self.walk = Walk(limits.max_pickle_opcodes)
        self.shown: Counter[str] = Counter()
        self.hidden = 0
        self.suspects: list[Literal] = []
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

    def glance_inside(self, offset: int, length: int, coding: str) -> None:
        """Remember a literal that begins like a pickle."""
        if length < _SHORTEST:
            return
        literal = Literal(offset, length, coding)
        if is_likely(self.data, literal):
            if len(self.suspects) < _MAX_SUSPECTS:
                self.suspects.append(literal)
            else:
                self.overlooked += 1

    def release(self) -> None:
        """Give back the pages of a mapped file that were read, so that memory stays bounded."""
        if isinstance(self.data, mmap.mmap):
            self.data.madvise(mmap.MADV_DONTNEED, 0, self.offset - self.offset % mmap.PAGESIZE)
        self.release_at = self.offset + _WINDOW

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

    def call(self, function: Value, arguments: Value, line: str, verb: str = "call") -> Call:
        """Record a call of an object; the result stays unknown."""
        self.calls += 1
        plain = function if isinstance(function, Global) else None
        if plain is None:
            self.problem("pickle-computed-call", f"calls {render(function)}, which is not an imported name")
        else:
            self.use(plain, f"{verb} {shape_text(arguments, self.walk)}")
            self.seal(arguments)
        result = Call(plain, arguments, self.calls)
        if self.has_room(plain.path if plain else "?"):
            self.show(f"v{self.calls} = " + line.format(f=render(function), a=render(arguments)))
        return result

    def seal(self, arguments: Value) -> None:
        """Whatever is handed to a call because it is empty must stay so: the callee may keep it."""
        for item in arguments if isinstance(arguments, tuple) else ():
            if (isinstance(item, Call) and item.is_empty) or (isinstance(item, DictValue) and not item.pairs):
                item.sealed = True

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

    def change(self, target: Value, method: str, argument: Value, use: str) -> None:
        """Record a state change (BUILD, SETITEM, APPEND, ADDITEMS) of something that is no plain literal."""
        self.calls += 1
        if isinstance(target, Global):
            self.problem("pickle-alters-import", f"changes the imported {render(target)} itself")
        elif not isinstance(target, Call):
            raise Malformed(self.at, f"{method} on {render(target)}")
        self.keep_sealed(target)
        function = target if isinstance(target, Global) else target.function
        if function is not None:
            self.use(function, use)
        if self.has_room(f"{method} {function.path if function else '?'}"):
            self.show(f"{render(target)}.{method}({render(argument)})")

    def keep_sealed(self, target: Value) -> None:
        """Note a change of something that a call was given for being empty."""
        if isinstance(target, Call | DictValue) and target.sealed:
            self.problem("pickle-argument-not-allowed", f"changes {render(target)} after a call was given it")

    def remember(self, key: int) -> None:
        """Store the top of the stack in the memo."""
        if key < 0:
            raise Malformed(self.at, "a negative memo key")
        if key > self.opcodes + _SPARE_KEYS:
            # picklers count from zero, and an unpickler makes room for all keys below
            raise Malformed(self.at, f"memo key {key} after {self.opcodes} instructions")
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
