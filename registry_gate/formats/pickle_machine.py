"""A symbolic pickle machine: runs the instructions of a stream on descriptions; imports and calls nothing.

Whatever two readers could take differently, and whatever the machine does not know the outcome of, is a
problem, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable

from registry_gate.formats.opcodes import OPCODES, Argument, Malformed, read_argument
from registry_gate.formats.pickle_literals import LITERALS, line_integer, number, span
from registry_gate.formats.pickle_shapes import is_storage, shape_text
from registry_gate.formats.pickle_state import MAX_NAME, Machine
from registry_gate.formats.pickle_values import (
    Call,
    DictValue,
    ListValue,
    Persistent,
    SetValue,
    Value,
    render,
)

_HIGHEST_PROTOCOL = 5
_FEW = 8
_CARRIERS = {
    **dict.fromkeys(("BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), "raw"),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), "raw"),
    "UNICODE": "line",
    "STRING": "escaped",
}
"""Literals in which a pickle may lie, and how their bytes are written in the stream."""

Handler = Callable[[Machine, Argument], None]


def run(machine: Machine) -> None:
    """Interpret until STOP or until something is not understood; never raises for a hostile stream."""
    try:
        while not machine.stopped:
            _step(machine)
    except Malformed as stop:
        machine.problem("pickle-not-understood", stop.detail, stop.offset or machine.at)


def _step(machine: Machine) -> None:
    machine.at = machine.offset
    if machine.opcodes >= machine.max_opcodes:
        raise Malformed(machine.at, f"more than {machine.max_opcodes} instructions")
    if machine.offset >= machine.end:
        raise Malformed(machine.at, "the stream ends without STOP")
    code = machine.data[machine.offset]
    known = OPCODES.get(code)
    if known is None:
        raise Malformed(machine.at, f"unknown instruction 0x{code:02x}")
    name, kind = known
    argument, machine.offset = read_argument(machine.data, kind, machine.offset + 1, machine.end)
    machine.opcodes += 1
    if machine.offset > machine.release_at:
        machine.release()
    _keep_frame(machine)
    literal = LITERALS.get(name)
    if literal is None:
        HANDLERS[name](machine, argument)
        return
    coding = _CARRIERS.get(name)
    if coding is not None:
        start, length = span(argument)
        inside = (start + 1, length - 2) if coding == "escaped" else (start, length)
        machine.glance_inside(*inside, coding)
    machine.stack.append(literal(machine.data, argument))


def _keep_frame(machine: Machine) -> None:
    """Readers differ on frames that end inside an instruction: one must end between two."""
    if machine.frame_end is not None and machine.offset >= machine.frame_end:
        if machine.offset > machine.frame_end:
            raise Malformed(machine.at, "an instruction crosses the end of its frame")
        machine.frame_end = None


def _names(machine: Machine, argument: Argument) -> tuple[Value, Value]:
    if not (
        isinstance(argument, tuple) and isinstance(argument[0], tuple) and isinstance(argument[1], tuple)
    ):
        raise Malformed(machine.at, "the instruction table and the machine disagree")
    texts: list[Value] = []
    for start, length in (argument[0], argument[1]):
        raw = machine.data[start : start + min(length, MAX_NAME + 1)]
        try:
            texts.append(raw.decode("utf-8"))
        except UnicodeDecodeError:
            raise Malformed(start, "an imported name is not UTF-8") from None
        if not length:
            raise Malformed(start, "an imported name is empty")
    return texts[0], texts[1]


def _global(machine: Machine, argument: Argument) -> None:
    module, name = _names(machine, argument)
    machine.stack.append(machine.bring_in(module, name) or Call(None, (), 0))


def _stack_global(machine: Machine, _: Argument) -> None:
    name, module = machine.pop(), machine.pop()
    machine.stack.append(machine.bring_in(module, name) or Call(None, (), 0))


def _extension(machine: Machine, argument: Argument) -> None:
    code = number(argument)
    machine.problem(
        "pickle-computed-name", f"extension code {code} stands for a name only the loading process knows"
    )
    machine.stack.append(Call(None, (), 0))


def _reduce(machine: Machine, _: Argument) -> None:
    arguments, function = machine.pop(), machine.pop()
    if not isinstance(arguments, tuple):
        machine.problem("pickle-computed-call", f"calls {render(function)} with {render(arguments)}")
    machine.stack.append(machine.call(function, arguments, "{f}{a}"))


def _inst(machine: Machine, argument: Argument) -> None:
    module, name = _names(machine, argument)
    arguments = tuple(machine.pop_mark())
    machine.stack.append(machine.call(machine.bring_in(module, name), arguments, "{f}{a}"))


def _obj(machine: Machine, _: Argument) -> None:
    items = machine.pop_mark()
    if not items:
        raise Malformed(machine.at, "OBJ without a class")
    machine.stack.append(machine.call(items[0], tuple(items[1:]), "{f}{a}"))


def _newobj(machine: Machine, _: Argument) -> None:
    arguments, function = machine.pop(), machine.pop()
    machine.stack.append(machine.call(function, arguments, "{f}.__new__{a}", "new"))


def _newobj_ex(machine: Machine, _: Argument) -> None:
    keywords, arguments, function = machine.pop(), machine.pop(), machine.pop()
    machine.stack.append(machine.call(function, (arguments, keywords), "{f}.__new__{a}", "new"))


def _build(machine: Machine, _: Argument) -> None:
    state, target = machine.pop(), machine.top()
    machine.change(target, "__setstate__", state, _build_use(machine, target, state))
    if isinstance(target, Call):
        target.states.append(state)


def _build_use(machine: Machine, target: Value, state: Value) -> str:
    """A state is judged with what made its object: numpy's element types take states by their kind."""
    arguments = target.arguments if isinstance(target, Call) else None
    return f"build {shape_text((arguments, state), machine.walk)}"


def _extend(machine: Machine, items: list[Value]) -> None:
    target = machine.top()
    if isinstance(target, ListValue):
        target.items.extend(items)
        return
    machine.change(target, "extend", tuple(items[:_FEW]), "append")
    if isinstance(target, Call):
        target.items.extend(items)


def _set_pairs(machine: Machine, items: list[Value]) -> None:
    if len(items) % 2:
        raise Malformed(machine.at, "a key without a value")
    pairs = list(zip(items[::2], items[1::2], strict=True))
    target = machine.top()
    if isinstance(target, DictValue):
        machine.keep_sealed(target)
        target.pairs.extend(pairs)
        return
    machine.change(target, "__setitem__", tuple(items[:_FEW]), "items")
    if isinstance(target, Call):
        target.pairs.extend(pairs)


def _set_item(machine: Machine, _: Argument) -> None:
    value, key = machine.pop(), machine.pop()
    _set_pairs(machine, [key, value])


def _append(machine: Machine, _: Argument) -> None:
    _extend(machine, [machine.pop()])


def _add_items(machine: Machine, _: Argument) -> None:
    items, target = machine.pop_mark(), machine.top()
    if isinstance(target, SetValue) and not target.frozen:
        target.items.extend(items)
        return
    machine.change(target, "update", tuple(items[:_FEW]), "add")


def _dict(machine: Machine, _: Argument) -> None:
    items = machine.pop_mark()
    machine.stack.append(DictValue())
    _set_pairs(machine, items)


def _pop(machine: Machine, _: Argument) -> None:
    if machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
    else:
        machine.pop()


def _tuple_of(count: int) -> Handler:
    def build(machine: Machine, _: Argument) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.stack.append(tuple(reversed(items)))

    return build


def _persistent_line(machine: Machine, argument: Argument) -> None:
    start, length = span(argument)
    raw = machine.data[start : start + min(length, MAX_NAME)]
    if length > MAX_NAME or not raw.isascii():
        raise Malformed(start, "a persistent id is not short ASCII text")
    _persistent(machine, raw.decode("ascii"))


def _persistent(machine: Machine, identifier: Value) -> None:
    """Only a loader can tell what an identifier stands for; of torch's own form the meaning is known."""
    value = Persistent(identifier)
    if not is_storage(value):
        machine.problem("pickle-argument-not-allowed", f"{render(value)} names no storage of torch's")
    machine.stack.append(value)


def _proto(machine: Machine, argument: Argument) -> None:
    machine.protocol = number(argument)
    if machine.protocol > _HIGHEST_PROTOCOL:
        raise Malformed(machine.at, f"protocol {machine.protocol} is unknown")


def _frame(machine: Machine, argument: Argument) -> None:
    length = number(argument)
    if machine.frame_end is not None:
        raise Malformed(machine.at, "a frame begins inside a frame")
    if length > machine.end - machine.offset:
        raise Malformed(machine.at, f"a frame states {length} bytes, more than are left")
    machine.frame_end = machine.offset + length if length else None


def _buffer(machine: Machine, _: Argument) -> None:
    raise Malformed(machine.at, "data outside the stream (a protocol 5 buffer)")


def _stop(machine: Machine, _: Argument) -> None:
    machine.result = machine.pop()
    machine.stopped = True
    if machine.stack or machine.marks:
        machine.problem("pickle-not-understood", f"{len(machine.stack)} objects are left over at STOP")
    if machine.frame_end is not None:
        machine.problem("pickle-not-understood", "the last frame goes on after STOP")


HANDLERS: dict[str, Handler] = {
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "STOP": _stop,
    "POP": _pop,
    "POP_MARK": lambda machine, _: machine.pop_mark().clear(),
    "DUP": lambda machine, _: machine.stack.append(machine.top()),
    "PERSID": _persistent_line,
    "BINPERSID": lambda machine, _: _persistent(machine, machine.pop()),
    "REDUCE": _reduce,
    "BUILD": _build,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "INST": _inst,
    "OBJ": _obj,
    "NEWOBJ": _newobj,
    "NEWOBJ_EX": _newobj_ex,
    "EXT1": _extension,
    "EXT2": _extension,
    "EXT4": _extension,
    "APPEND": _append,
    "APPENDS": lambda machine, _: _extend(machine, machine.pop_mark()),
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: _set_pairs(machine, machine.pop_mark()),
    "ADDITEMS": _add_items,
    "DICT": _dict,
    "LIST": lambda machine, _: machine.stack.append(ListValue(machine.pop_mark())),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_mark())),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "FROZENSET": lambda machine, _: machine.stack.append(SetValue(machine.pop_mark(), frozen=True)),
    "GET": lambda machine, argument: machine.recall(line_integer(machine.data, argument)),
    "BINGET": lambda machine, argument: machine.recall(number(argument)),
    "LONG_BINGET": lambda machine, argument: machine.recall(number(argument)),
    "PUT": lambda machine, argument: machine.remember(line_integer(machine.data, argument)),
    "BINPUT": lambda machine, argument: machine.remember(number(argument)),
    "LONG_BINPUT": lambda machine, argument: machine.remember(number(argument)),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "PROTO": _proto,
    "FRAME": _frame,
    "NEXT_BUFFER": _buffer,
    "READONLY_BUFFER": _buffer,
}
"""Every opcode that is no literal."""
