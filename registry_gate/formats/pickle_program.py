"""Read a pickle's program: what it would import and call, as facts; nothing is imported or called."""

from __future__ import annotations

import re
from dataclasses import dataclass

from registry_gate.evidence import GlobalUse, PickleFacts, Problem
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.opcodes import Buffer
from registry_gate.formats.pickle_machine import run
from registry_gate.formats.pickle_nested import Literal, Opened, open_literal
from registry_gate.formats.pickle_state import Machine
from registry_gate.formats.pickle_values import Value

_MARKED = re.compile(rb"\x80[\x00-\x05]")


@dataclass(frozen=True)
class Program:
    """One interpreted stream.

    ``pickles`` holds the facts of the stream and then of any pickle found inside its literals; ``result`` is
    the described object; ``end`` the offset after STOP (or where reading stopped); ``calls`` counts calls
    and state changes.
    """

    pickles: tuple[PickleFacts, ...]
    problems: tuple[Problem, ...]
    result: Value
    end: int
    calls: int

    @property
    def complete(self) -> bool:
        """True when the stream was understood up to STOP."""
        return self.pickles[0].complete

    @property
    def imports(self) -> int:
        """How many different names the stream itself uses."""
        return len(self.pickles[0].globals)


def interpret(
    data: Buffer,
    limits: ReaderLimits,
    *,
    start: int = 0,
    end: int | None = None,
    member: str | None = None,
) -> Program:
    """Interpret one pickle stream symbolically.

    Args:
        data: the buffer that holds the stream.
        limits: bounds on instructions, names, lines, nesting.
        start: offset of the stream's first byte.
        end: one past the last byte that belongs to it; the end of the buffer by default.
        member: the archive member the stream lies in, for the facts.
    """
    stop = len(data) if end is None else end
    machine = Machine(data, start, stop, limits, limits.max_pickle_opcodes)
    run(machine)
    budget = _Budget(limits.max_nested_opcodes)
    inner = _look_inside(machine, limits, member, budget, 1)
    problems = [*machine.problems, *_noted(inner, member)]
    if budget.spent or machine.overlooked:
        problems.append(
            Problem(
                code="pickle-nested", detail="more pickle-like data inside than is looked at", member=member
            )
        )
    return Program(
        pickles=(_facts(machine, member, limits), *inner),
        problems=tuple(item.model_copy(update={"member": member}) for item in problems),
        result=machine.result,
        end=machine.offset,
        calls=machine.calls,
    )


@dataclass
class _Budget:
    """Instructions left for looking into literals."""

    left: int

    @property
    def spent(self) -> bool:
        return self.left <= 0


def _facts(machine: Machine, member: str | None, limits: ReaderLimits) -> PickleFacts:
    lines = machine.lines[: limits.max_program_lines]
    if machine.hidden:
        lines.append(f"… {machine.hidden} more lines of the same functions")
    return PickleFacts(
        member=member,
        protocol=machine.protocol,
        opcodes=machine.opcodes,
        globals=tuple(
            GlobalUse(module=module, name=name, use=use, offset=offset, member=member)
            for (module, name, use), offset in machine.globals.items()
        ),
        program=tuple(lines),
        complete=machine.complete,
    )


def _noted(inner: list[PickleFacts], member: str | None) -> list[Problem]:
    return [
        Problem(code="pickle-nested", detail=f"a literal holds a pickle: {facts.member}", member=member)
        for facts in inner[:8]
    ]


def _look_inside(
    machine: Machine, limits: ReaderLimits, member: str | None, budget: _Budget, depth: int
) -> list[PickleFacts]:
    """Interpret literals that look like pickles; keep those that run to the end or would do something."""
    found: list[PickleFacts] = []
    for literal in machine.suspects:
        if depth > limits.max_nesting:
            budget.left = 0
        machine.release()
        for opened in open_literal(machine.data, literal) if budget.left > 0 else ():
            found += _inner(opened, limits, f"{member or ''}@{literal.offset}{opened.how}", budget, depth)
    return found


def _inner(
    opened: Opened, limits: ReaderLimits, place: str, budget: _Budget, depth: int
) -> list[PickleFacts]:
    """The facts of every pickle in one opened literal and in their own literals; none where there is none."""
    found: list[PickleFacts] = []
    at = opened.start
    for _ in range(limits.max_pickles):
        inner = Machine(opened.buffer, at, opened.end, limits, max(budget.left, 1))
        run(inner)
        budget.left = 0 if opened.cut else budget.left - inner.opcodes - 16 - (inner.offset - at) // 1024
        marked = bool(_MARKED.match(opened.buffer[at : at + 2]))
        if (inner.globals and (marked or inner.calls or inner.complete)) or (
            marked and (inner.calls or inner.complete)
        ):
            found.append(_facts(inner, place, limits))
        found += _look_inside(inner, limits, place, budget, depth + 1)
        at = inner.offset
        if not inner.complete or at >= opened.end:
            break
    if found or not opened.how or depth >= limits.max_nesting:
        return found
    deeper = open_literal(opened.buffer, Literal(opened.start, opened.end - opened.start, "raw"))
    return [
        facts
        for item in deeper
        if item.how and budget.left > 0
        for facts in _inner(item, limits, place + item.how, budget, depth + 1)
    ]
