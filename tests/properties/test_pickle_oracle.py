"""Our reading of a pickle beside CPython's own unpicklers, in C and in Python, with all imports inert."""

import pickle
import random
from collections import Counter, OrderedDict
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import pickle_streams
from fuzz.pickle_oracle import LIMITS, CUnpickler, PythonUnpickler, compare, deeds_of, disagreement
from registry_gate.formats.pickle_program import interpret
from registry_gate.testing.hostile_pickles import ROUTES, short_text

OBJECTS = [
    {"a": OrderedDict(x=1), "d": date(2020, 1, 1)},
    [Counter("aab"), Fraction(1, 3), {1, 2}, frozenset([3]), 1 + 2j],
    (b"bytes", bytearray(b"array"), "text \u2603", 2**70, None, True, 0.5),
]


@settings(max_examples=800, deadline=None)
@given(st.integers(0, 2**64))
def test_random_programs_hide_nothing(seed):
    chance = random.Random(seed)
    stream = pickle_streams.stream(chance.randrange)
    assert not compare(stream), stream


def test_the_random_programs_do_something():
    """The property above is worth something only where both sides read a good part to the end."""
    tally = Counter()
    for seed in range(400):
        stream = pickle_streams.stream(random.Random(seed).randrange)
        program, deeds = interpret(stream, LIMITS), deeds_of(CUnpickler, stream)
        tally["both"] += program.complete and deeds.end is not None
        tally["called"] += program.complete and bool(deeds.called)
        tally["changed"] += program.complete and bool(deeds.changed)
    assert tally["both"] > 60 and tally["called"] > 40 and tally["changed"] > 0


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_changed_bytes_hide_nothing(data):
    stream = bytearray(pickle.dumps(data.draw(st.sampled_from(OBJECTS)), data.draw(st.integers(0, 5))))
    for _ in range(data.draw(st.integers(1, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    assert not compare(bytes(stream)), bytes(stream)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", OBJECTS)
def test_honest_streams_are_read_as_cpython_reads_them(value, protocol):
    stream = pickle.dumps(value, protocol)
    program = interpret(stream, LIMITS)
    assert program.complete
    for kind in (CUnpickler, PythonUnpickler):
        deeds = deeds_of(kind, stream)
        assert deeds.end == program.end == len(stream)
        assert not disagreement(program, deeds)


@pytest.mark.parametrize("route", sorted(ROUTES))
def test_the_oracle_sees_every_road(route):
    """An oracle that is blind would agree with anything."""
    stream = ROUTES[route]("mod", "nam", "x")
    seen = set()
    for kind in (CUnpickler, PythonUnpickler):
        deeds = deeds_of(kind, stream[3:] if route == "second-pickle" else stream)
        seen |= deeds.imported
        assert deeds.called or route == "second-pickle"
    assert seen == {("mod", "nam")} or route == "second-pickle"
    assert not compare(stream)


@pytest.mark.parametrize(
    "hidden",
    [lambda use: use.use == "import", lambda use: use.name != "system"],
)
def test_a_reading_that_leaves_something_out_is_caught(hidden):
    stream = ROUTES["global-reduce"]("os", "system", "x")
    program = interpret(stream, LIMITS)
    facts = program.pickles[0]
    less = facts.model_copy(update={"globals": tuple(use for use in facts.globals if hidden(use))})
    blind = type(program)((less,), (), program.result, program.end, program.calls)
    assert not disagreement(program, deeds_of(CUnpickler, stream))
    assert disagreement(blind, deeds_of(CUnpickler, stream))
    shorter = type(program)(program.pickles, (), program.result, program.end - 1, program.calls)
    assert "bytes were read" in disagreement(shorter, deeds_of(CUnpickler, stream))


TRAPS = {
    "python reads a last line without its end": b"cos\nsystem",
    "C drops what a frame leaves over": b"\x80\x04\x95\x03" + bytes(7) + b"K\x01r" + bytes(4) + b".",
    "line ends of other systems": b"cos\r\nsystem\r\n)R.",
    "name in UTF-8": "ccaf\u00e9\n\u2603\n)R.".encode(),
    "name with a lone surrogate": b"\x80\x04\x8c\x03\xed\xa0\x80\x8c\x01n\x93)R.",
    "name with an escape": b"Vo\\u0073\nVsystem\n\x93)R.",
    "memo by two counts": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94q\x05\x94h\x00h\x01\x93\x94)R.",
    "memo overwritten": b"\x80\x04\x8c\x01aq\x00\x8c\x02osq\x000\x8c\x06system\x94h\x00h\x01\x93)R\x94.",
    "key with zeros": b"\x8c\x02osp007\n\x8c\x06systemq\x08g7\nh\x08\x93)R.",
    "mark popped as an object": b"(0cos\nsystem\n)R.",
    "instance in the middle": b"((K\x01ios\nsystem\nt.",
    "object without arguments": b"(cos\nsystem\no.",
    "two classes and a state": b"\x80\x02cm\nA\n)\x81cm\nB\n)\x81b.",
    "protocol changed on the way": b"\x80\x04\x80\x02c__builtin__\neval\n)R.",
    "list written into by key": b"]K\x00cos\nsystem\n)Rs.",
    "nothing appended to a name": b"\x80\x02cos\nsystem\n(e.",
    "persistent id as a callable": b"\x80\x02K\x01Q)R.",
    "extension": b"\x80\x02\x82\x01)R.",
    "out of band": b"\x80\x05\x97)R.",
    "read-only bytes as a name": b"\x80\x05\x96\x02" + bytes(7) + b"os\x98\x8c\x01n\x93.",
    "several protocols and a frame of nothing": b"\x80\x04\x95" + bytes(8) + b"\x80\x04cos\nsystem\n)R.",
    "two frames": b"\x80\x04\x95\x02" + bytes(7) + b"N0\x95\x02" + bytes(7) + b"N..",
    "frame in a frame": b"\x80\x04\x95\x0c" + bytes(7) + b"\x95\x01" + bytes(7) + b"NN.",
    "integer in another base": b"I0x10\n.",
    "long with blanks": b"L 7L\n.",
    "string half quoted": b"S'os\n\x8c\x06system\x93)R.",
    "text that is no UTF-8": b"X\x02\x00\x00\x00\xff\xfe.",
    "arguments that are no tuple": b"cos\nsystem\n]R.",
    "class that is an instance": b"\x80\x02cm\nA\n)R)\x81.",
    "keywords": b"\x80\x04cm\nA\n)}\x92.",
    "set into a set": b"\x80\x04\x8f(cm\nA\n)R\x90.",
    "ring": b"\x80\x02]q\x00h\x00a.",
}


@pytest.mark.parametrize("trap", sorted(TRAPS))
def test_traps(trap):
    assert not compare(TRAPS[trap])


@pytest.mark.parametrize(
    ("module", "name", "mapped"),
    [
        ("__builtin__", "eval", ("builtins", "eval")),
        ("commands", "getoutput", ("subprocess", "getoutput")),
        ("itertools", "izip", ("builtins", "zip")),
        ("urllib", "urlopen", ("urllib.request", "urlopen")),
        ("exceptions", "ValueError", ("builtins", "ValueError")),
    ],
)
@pytest.mark.parametrize("route", ["global-reduce", "inst", "obj", "stack-global"])
def test_python_2_names_are_seen_in_both_spellings(module, name, mapped, route):
    uses = interpret(ROUTES[route](module, name, "1"), LIMITS).pickles[0].globals
    assert {(module, name), mapped} <= {(use.module, use.name) for use in uses}


def test_a_memo_key_that_makes_unpicklers_take_gigabytes_is_refused():
    stream = b"\x80\x02" + short_text("a") + b"r\xff\xff\xff\xffj\xff\xff\xff\xff\x86."
    program = interpret(stream, LIMITS)
    assert not program.complete and "memo key" in program.problems[0].detail
    stream = b"\x80\x02" + short_text("a") + b"r\x00\x10\x00\x00j\x00\x10\x00\x00\x86."
    assert interpret(stream, LIMITS).complete, "keys that a little run of PUT could have reached"
