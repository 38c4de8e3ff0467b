import bz2
import gzip
import io
import lzma
import pickle
import pickletools
import zlib
from collections import OrderedDict
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_gate.formats import ReaderLimits
from registry_gate.formats.opcodes import OPCODES
from registry_gate.formats.pickle_literals import LITERALS
from registry_gate.formats.pickle_machine import HANDLERS
from registry_gate.formats.pickle_program import interpret
from registry_gate.formats.pickle_values import DictValue, ListValue
from registry_gate.testing import hostile_pickles
from registry_gate.testing.hostile_pickles import ROUTES, short_text

LIMITS = ReaderLimits()
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**100), 2**100)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers(), max_size=3)
    ),
    max_leaves=12,
)
WORD = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,12}(\.[a-zA-Z_][a-zA-Z0-9_]{0,12}){0,2}", fullmatch=True)


def names(program):
    return {(use.module, use.name) for facts in program.pickles for use in facts.globals}


def test_the_instruction_set_is_pickletools():
    assert {code: name for code, (name, _) in OPCODES.items()} == {
        ord(op.code): op.name for op in pickletools.opcodes
    }
    assert {name for name, _ in OPCODES.values()} == HANDLERS.keys() | LITERALS.keys()
    assert not HANDLERS.keys() & LITERALS.keys()


@settings(max_examples=150, deadline=None)
@given(PLAIN, st.integers(0, 5))
def test_plain_objects_are_understood_to_their_end(value, protocol):
    stream = pickle.dumps(value, protocol)
    program = interpret(stream, LIMITS)
    assert program.complete, program.problems
    assert program.end == len(stream)
    allowed = {("_codecs", "encode"), ("builtins", "frozenset"), ("__builtin__", "frozenset")}
    assert names(program) <= allowed | {("__builtin__", "bytes"), ("builtins", "bytes")}


@settings(max_examples=200, deadline=None)
@given(WORD, WORD, st.sampled_from(sorted(ROUTES)))
def test_any_name_by_any_road_is_seen(module, name, route):
    stream = ROUTES[route](module, name, "x")
    at, seen = 0, set()
    while at < len(stream):
        program = interpret(stream, LIMITS, start=at)
        seen |= names(program)
        if not program.complete:
            break
        at = program.end
    assert (module, name) in seen


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_never_raise(data):
    program = interpret(data, LIMITS)
    assert program.complete or program.problems
    assert program.pickles[0].canonical()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(sorted(OPCODES)), max_size=60), st.binary(max_size=20))
def test_random_programs_never_raise(codes, tail):
    data = b"\x80\x04" + b"".join(bytes([code]) + b"\x00\n" for code in codes) + tail
    program = interpret(data, LIMITS)
    assert program.complete or program.problems


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_one_changed_byte_never_hides_a_call(data):
    """What CPython would still load must not be called complete with fewer names than it imports."""
    stream = bytearray(
        pickle.dumps({"a": OrderedDict(x=1), "d": date(2020, 1, 1)}, data.draw(st.integers(0, 5)))
    )
    place = data.draw(st.integers(0, len(stream) - 1))
    stream[place] = data.draw(st.integers(0, 255))
    imported = set()

    class Watcher(pickle.Unpickler):
        def find_class(self, module, name):
            imported.add((module, name))
            return lambda *_: OrderedDict()

    try:
        Watcher(io.BytesIO(bytes(stream))).load()
        loaded = True
    except Exception:  # whatever a broken stream makes CPython raise
        loaded = False
    program = interpret(bytes(stream), LIMITS)
    if program.complete or loaded:
        assert imported <= names(program) or not program.complete


def test_program_is_readable():
    program = interpret(hostile_pickles.global_reduce("os", "system", "true"), LIMITS)
    assert program.pickles[0].program == ("20: v1 = os.system('true')",)
    assert {(use.name, use.use) for use in program.pickles[0].globals} == {
        ("system", "import"),
        ("system", 'call ["text"]'),
    }


def test_hostile_line_shows_among_thousands_of_honest_ones():
    honest = b"".join(b"ccollections\nOrderedDict\n)R0" for _ in range(3000))
    program = interpret(b"\x80\x02" + honest + b"cos\nsystem\n" + short_text("x") + b"\x85R.", LIMITS)
    assert any("os.system('x')" in line for line in program.pickles[0].program)
    assert len(program.pickles[0].program) < 20


def test_dotted_names_stay_whole():
    program = interpret(hostile_pickles.stack_global_reduce("a.b", "C.d.e", ""), LIMITS)
    assert ("a.b", "C.d.e") in names(program)


def test_python_2_names_are_seen_as_python_3_maps_them():
    assert {("__builtin__", "eval"), ("builtins", "eval")} <= names(
        interpret(hostile_pickles.global_reduce("__builtin__", "eval", "1"), LIMITS)
    )
    assert ("subprocess", "getoutput") in names(
        interpret(hostile_pickles.global_reduce("commands", "getoutput", "1"), LIMITS)
    )


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (b"", "pickle-not-understood"),
        (b"\x80\x06N.", "pickle-not-understood"),
        (b"\x80\x02N", "pickle-not-understood"),
        (b"\x80\x02.", "pickle-not-understood"),
        (b"\x80\x02\xfeN.", "pickle-not-understood"),
        (b"\x80\x02NN.", "pickle-not-understood"),
        (b"\x80\x02(N.", "pickle-not-understood"),
        (b"\x80\x02h\x05.", "pickle-not-understood"),
        (b"I 1\n.", "pickle-not-understood"),
        (b"I0x10\n.", "pickle-not-understood"),
        (b"I1_0\n.", "pickle-not-understood"),
        (b"I1\x00junk\n.", "pickle-not-understood"),
        (b"Np1\x009\n.", "pickle-not-understood"),
        (b"\x80\x05\x97.", "pickle-not-understood"),
        (b"\x80\x04\x95\x02" + bytes(7) + b"X\x01\x00\x00\x00a.", "pickle-not-understood"),
        (b"\x80\x04\x95\xff\xff" + bytes(6) + b"N.", "pickle-not-understood"),
        (b"\x80\x04\x8c\x02os\x8c\x03\xed\xa0\x80\x93.", "pickle-computed-name"),
        (b"\x80\x04NN\x93.", "pickle-computed-name"),
        (b"\x80\x02N)R.", "pickle-computed-call"),
        (b"\x80\x02ccollections\nOrderedDict\nNR.", "pickle-computed-call"),
        (hostile_pickles.alters_import(), "pickle-alters-import"),
        (hostile_pickles.extension_code(), "pickle-computed-name"),
    ],
)
def test_what_is_not_understood_is_a_problem(stream, code):
    program = interpret(stream, LIMITS)
    assert not program.complete
    assert code in {problem.code for problem in program.problems}


def test_stated_lengths_allocate_nothing():
    import tracemalloc

    streams = [
        hostile_pickles.huge_literal(),
        b"\x80\x02\x8b\xff\xff\xff\x7f",
        b"T\xff\xff\xff\x7fx",
        b"\x80\x05\x96" + b"\x7f" * 8,
    ]
    tracemalloc.start()
    try:
        for stream in streams:
            assert not interpret(stream, LIMITS).complete
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_literals_are_described_not_kept():
    program = interpret(pickle.dumps({"a": b"x" * 5_000_000, "b": "y" * 5_000_000}, 4), LIMITS)
    assert program.complete
    assert isinstance(program.result, DictValue)
    assert [item.length for _, item in program.result.pairs] == [5_000_000, 5_000_000]
    assert [len(item.preview) for _, item in program.result.pairs] == [32, 32]


@pytest.mark.parametrize("protocol", range(6))
def test_shared_and_circular_objects(protocol):
    ring: list[object] = [1]
    ring.append(ring)
    program = interpret(pickle.dumps(ring, protocol), LIMITS)
    assert program.complete and isinstance(program.result, ListValue)
    assert program.result.items[1] is program.result


def test_deep_nesting_is_followed():
    assert interpret(hostile_pickles.deep_nesting(), LIMITS).complete


def test_instruction_limit():
    limits = LIMITS.model_copy(update={"max_pickle_opcodes": 100})
    program = interpret(pickle.dumps(list(range(200)), 2), limits)
    assert not program.complete and "100" in program.problems[0].detail


def test_import_limit():
    many = b"".join(b"cm\nn%d\n0" % number for number in range(5000))
    program = interpret(b"\x80\x02" + many + b"N.", LIMITS)
    assert not program.complete
    assert len(program.pickles[0].globals) <= LIMITS.max_globals


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_pickles_in_literals_are_interpreted(depth):
    stream = hostile_pickles.global_reduce("os", "system", "true")
    for _ in range(depth):
        stream = pickle.dumps({"blob": stream}, 4)
    program = interpret(stream, LIMITS)
    assert ("os", "system") in names(program)
    assert "pickle-nested" in {problem.code for problem in program.problems}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("wrap", [bytes, bytearray, lambda data: data.decode("latin-1")])
@pytest.mark.parametrize("pack", [bytes, zlib.compress, gzip.compress, bz2.compress, lzma.compress])
def test_pickles_in_literals_of_every_kind_are_interpreted(pack, wrap, protocol):
    inner = hostile_pickles.global_reduce("os", "system", "true")
    stream = pickle.dumps({"blob": wrap(pack(inner))}, protocol)
    program = interpret(stream, LIMITS)
    assert ("os", "system") in names(program)
    assert "pickle-nested" in {problem.code for problem in program.problems}


def test_compressed_twice_and_in_another_pickle():
    inner = hostile_pickles.stack_global_reduce("os", "system", "true")
    twice = pickle.dumps([zlib.compress(bz2.compress(inner))], 4)
    assert ("os", "system") in names(interpret(twice, LIMITS))
    wrapped = pickle.dumps([gzip.compress(pickle.dumps({"a": lzma.compress(inner)}, 2))], 4)
    assert ("os", "system") in names(interpret(wrapped, LIMITS))


def test_what_is_not_looked_into_is_said():
    bomb = zlib.compress(b"\x80\x04]" + b"N0" * 20_000_000 + b".")
    deep = hostile_pickles.global_reduce("os", "system", "true")
    for _ in range(8):
        deep = pickle.dumps([deep], 4)
    for stream in (pickle.dumps([bomb], 4), deep):
        problems = interpret(stream, LIMITS).problems
        assert any("more pickle-like data" in problem.detail for problem in problems)


def test_compressed_data_that_holds_no_pickle_is_ordinary():
    value = [
        zlib.compress(b"hello" * 50),
        gzip.compress(b"a,b\n1,2\n"),
        b"x\x9c" + bytes(50),
        b"BZh9" + bytes(9),
    ]
    program = interpret(pickle.dumps(value, 4), LIMITS)
    assert program.complete and len(program.pickles) == 1 and not program.problems


def test_pickle_kept_as_latin_text_is_interpreted():
    inner = hostile_pickles.global_reduce("os", "system", "true").decode("latin-1")
    assert ("os", "system") in names(interpret(pickle.dumps([inner], 4), LIMITS))


def test_ordinary_literals_hold_no_pickle():
    value = ["classifier.weight", "(a, b)", "c\nhello\nworld\n", b"\x00\x01" * 50, b"I love you.", "]."]
    program = interpret(pickle.dumps(value, 4), LIMITS)
    assert program.complete and len(program.pickles) == 1
