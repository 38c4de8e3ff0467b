"""The allow-list with arguments: ordinary checkpoints pass, wrong calls of allowed names do not."""

import pytest

from registry_gate.finding import Confidence, Severity
from registry_gate.formats import ReaderLimits
from registry_gate.formats.pickle_program import interpret
from registry_gate.testing.hostile import torch_zip
from registry_gate.testing.hostile_pickles import short_text
from tests.formats import benign_checkpoints

KINDS = benign_checkpoints.kinds()
VALUES = benign_checkpoints.values()
OURS = ("pickle-", "scanner-", "picklescan-")


def flags(findings):
    return [
        item for item in findings if item.rule.startswith(OURS) and item.severity.rank >= Severity.MEDIUM.rank
    ]


def test_there_are_enough_kinds():
    assert len(KINDS) >= 50


@pytest.mark.parametrize("how", ["zip", "legacy"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_ordinary_checkpoints_are_not_flagged(kind, how, tmp_path, read, judge):
    path = tmp_path / "model.pt"
    try:
        benign_checkpoints.write(KINDS[kind], path, how)
    except (NotImplementedError, AttributeError, RuntimeError, KeyError) as error:
        pytest.skip(f"torch cannot write it: {error}")
    assert not flags(judge(read(path)))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", sorted(VALUES))
def test_plain_values_are_not_flagged_in_any_protocol(kind, protocol, tmp_path, read, judge):
    if kind == "shared":
        return  # holds a tensor, which plain pickle writes in a way of its own
    path = tmp_path / "model.pkl"
    benign_checkpoints.write(VALUES[kind], path, f"pickle-{protocol}")
    assert not [item for item in flags(judge(read(path))) if item.rule != "scanner-error"]


ORDERED = b"ccollections\nOrderedDict\n"
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n("
SIZES = b"(K\x02t(K\x01t"
DTYPE = b"cnumpy\ndtype\n"
ARRAY = b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
NAMESPACE = b"cargparse\nNamespace\n)\x81"
FROM_TYPE = (
    b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\nctorch\nTensor\n("
    + STORAGE
    + b"K\x00"
    + SIZES
    + b"\x89"
    + ORDERED
    + b")Rt}tR"
)
WRONG = {
    "hooks that hold a name": REBUILD + STORAGE + b"K\x00" + SIZES + b"\x89}K\x01" + ORDERED + b"stR",
    "hooks filled later": REBUILD
    + STORAGE
    + b"K\x00"
    + SIZES
    + b"\x89"
    + ORDERED
    + b")Rq\x00tRh\x00K\x01K\x02s",
    "hooks literal filled later": REBUILD + STORAGE + b"K\x00" + SIZES + b"\x89}q\x00tRh\x00K\x01K\x02s",
    "storage that is none": REBUILD + b"NK\x00" + SIZES + b"\x89" + ORDERED + b")RtR",
    "persistent id of another form": b"X\x01\x00\x00\x00xQ",
    "persistent id as text": b"Pmodule\n",
    "storage type that is text": STORAGE.replace(b"ctorch\nFloatStorage\n", short_text("torch.FloatStorage")),
    "negative offset": REBUILD + STORAGE + b"J\xff\xff\xff\xff" + SIZES + b"\x89" + ORDERED + b")RtR",
    "too many arguments": REBUILD + STORAGE + b"K\x00" + SIZES + b"\x89" + ORDERED + b")R}NtR",
    "tensor instantiated": REBUILD[:-1] + b")\x81",
    "ordered dict of a name": ORDERED + b"]((X\x01\x00\x00\x00actorch\nfloat32\nle\x85R",
    "ordered dict of text": ORDERED + b"X\x02\x00\x00\x00ab\x85R",
    "ordered dict instantiated": ORDERED + b")\x81",
    "ordered dict with keywords": ORDERED + b")}\x92",
    "state that shadows a method": ORDERED + b")R}X\x05\x00\x00\x00itemsctorch\nSize\nsb",
    "state of two kinds": ORDERED + b")R(N}X\x01\x00\x00\x00aK\x01stb",
    "state with a second key": ORDERED
    + b")R}(X\x09\x00\x00\x00_metadata"
    + ORDERED
    + b")RX\x01\x00\x00\x00aK\x01ub",
    "entries of a size": b"ctorch\nSize\n)\x85RK\x00K\x01s",
    "appended to": ORDERED + b")RK\x01a",
    "size of text": b"ctorch\nSize\nX\x02\x00\x00\x00ab\x85R",
    "storage called": b"ctorch\nFloatStorage\nJ\xff\xff\xff\x7f\x85R",
    "element type called": b"ctorch\nfloat32\n)R",
    "encode by another codec": b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R",
    "encode by the default codec": b"c_codecs\nencode\nX\x01\x00\x00\x00a\x85R",
    "encode a result": b"c_codecs\nencode\n" + ORDERED + b")RX\x06\x00\x00\x00latin1\x86R",
    "memory by a number": b"c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R",
    "bytes from a number": b"c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R",
    "set of a name": b"c__builtin__\nset\n](ctorch\nfloat32\ne\x85R",
    "set of a text": b"c__builtin__\nset\nX\x02\x00\x00\x00ab\x85R",
    "complex from text": b"c__builtin__\ncomplex\nX\x02\x00\x00\x001j\x85R",
    "counter of a call": b"ccollections\nCounter\n" + ORDERED + b")R\x85R",
    "object array": DTYPE + b"X\x02\x00\x00\x00O8\x89\x88\x87R",
    "void array": DTYPE + b"X\x02\x00\x00\x00V8\x89\x88\x87R",
    "array of fields": DTYPE + b"X\x05\x00\x00\x00f4,f4\x89\x88\x87R",
    "element type with object flags": DTYPE
    + b"X\x02\x00\x00\x00f8\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb",
    "text type of negative size": DTYPE
    + b"X\x02\x00\x00\x00U4\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffK\x04K\x08tb",
    "number type with a size": DTYPE
    + b"X\x02\x00\x00\x00f8\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNNK\x28K\x04K\x08tb",
    "array of another class": ARRAY.replace(b"cnumpy\nndarray\n", ORDERED),
    "array with a shape of its own": ARRAY.replace(b"K\x00\x85", b"J\xff\xff\xff\x7f\x85"),
    "array state as a list": ARRAY + b"(K\x01K\x01\x85" + DTYPE + b"X\x02\x00\x00\x00f8\x89\x88\x87R\x89]tb",
    "array state without a type": ARRAY + b"(K\x01K\x01\x85N\x89C\x08" + bytes(8) + b"tb",
    "scalar of an object": b"cnumpy._core.multiarray\nscalar\n"
    + DTYPE
    + b"X\x02\x00\x00\x00f8\x89\x88\x87R]\x86R",
    "scalar without a type": b"cnumpy._core.multiarray\nscalar\nNC\x01a\x86R",
    "settings that hold a name": NAMESPACE + b"}X\x01\x00\x00\x00a" + ORDERED + b"sb",
    "settings with a method": NAMESPACE
    + b"}X\x0c\x00\x00\x00__setstate__c__builtin__\nlist\nsbJ\xff\xff\xff\x7fb",
    "settings of two kinds": NAMESPACE + b"N}X\x01\x00\x00\x00aK\x01s\x86b",
    "settings made with something": b"cargparse\nNamespace\nK\x01\x85\x81",
    "settings called": b"cargparse\nNamespace\n)R",
    "history made by a name": b"ccollections\ndefaultdict\nctorch\nSize\n\x85R",
    "history made by a call": b"ccollections\ndefaultdict\n" + ORDERED + b")R\x85R",
    "history made of a list": b"ccollections\ndefaultdict\nN]\x86R",
    "queue of a name": b"ccollections\ndeque\n" + ORDERED + b"\x85R",
    "number called": b"c__builtin__\nint\nX\x03\x00\x00\x00123\x85R",
    "list called": b"c__builtin__\nlist\n](K\x01e\x85R",
    "path of a name": b"cpathlib\nPosixPath\n" + ORDERED + b"\x85R",
    "path with a state": b"cpathlib\nPosixPath\n)R}X\x01\x00\x00\x00aK\x01sb",
    "time zone of a name": b"cdatetime\ntimezone\n" + ORDERED + b"\x85R",
    "time with a state": b"cdatetime\ndatetime\nC\x0a" + bytes(10) + b"\x85R}b",
    "slice of a name": b"c__builtin__\nslice\n" + ORDERED + b"NN\x87R",
    "tensor of another class": FROM_TYPE.replace(b"ctorch\nTensor\n", ORDERED),
    "tensor of another function": FROM_TYPE.replace(b"_rebuild_tensor_v2", b"_rebuild_qtensor"),
    "tensor with a name as a mark": FROM_TYPE[:-3] + b"}X\x01\x00\x00\x00actorch\nSize\nstR",
    "date type without a unit": DTYPE
    + b"X\x02\x00\x00\x00M8\x89\x88\x87R(K\x04X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xff"
    + b"J\xff\xff\xff\xffK\x00Ntb",
    "layout by a call": b"ctorch.serialization\n_get_layout\n" + ORDERED + b")R\x85R",
    "arguments that are a list": b"ctorch\nSize\n]R",
    "arguments that are a result": b"ctorch\nSize\nctorch\nSize\n)R\x81",
}


@pytest.mark.parametrize("how", ["pickle", "zip"])
@pytest.mark.parametrize("wrong", sorted(WRONG))
def test_wrong_arguments_of_allowed_names_are_refused(wrong, how, tmp_path, read, judge):
    stream = b"\x80\x02(" + WRONG[wrong] + b"t."
    path = tmp_path / ("model.pkl" if how == "pickle" else "model.bin")
    path.write_bytes(stream if how == "pickle" else torch_zip(stream, {"data/0": bytes(24)}))
    rules = {(item.rule, item.severity, item.confidence) for item in judge(read(path))}
    found = ("pickle-argument-not-allowed", Severity.HIGH, Confidence.HIGH)
    computed = ("pickle-computed-call", Severity.HIGH, Confidence.HIGH)
    assert found in rules or (wrong.startswith("arguments that are a list") and computed in rules)


RIGHT = {
    "tensor": REBUILD + STORAGE + b"K\x00" + SIZES + b"\x89" + ORDERED + b")RtR",
    "ordered dict of pairs": ORDERED + b"]((X\x01\x00\x00\x00aK\x01le\x85R",
    "array": ARRAY
    + b"(K\x01K\x01\x85"
    + DTYPE
    + b"X\x02\x00\x00\x00f8\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNN"
    + b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89C\x08"
    + bytes(8)
    + b"tb",
    "set": b"c__builtin__\nset\n](K\x01K\x02e\x85R",
    "settings": NAMESPACE + b"}X\x01\x00\x00\x00actorch\nfloat32\nsb",
    "history": b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85RK\x01K\x02s",
    "queue": b"ccollections\ndeque\n)K\x05\x86RK\x01a",
    "path": b"cpathlib\nPosixPath\n(X\x01\x00\x00\x00/X\x01\x00\x00\x00btR",
    "time": b"cdatetime\ndatetime\nC\x0a" + bytes(10) + b"\x85R",
    "marked tensor": FROM_TYPE,
}


@pytest.mark.parametrize("right", sorted(RIGHT))
def test_the_right_arguments_differ_by_little(right, tmp_path, read, judge):
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02(" + RIGHT[right] + b"t.")
    assert not flags(judge(read(path)))


def test_arguments_shared_a_thousand_times_end():
    """Lists of the same list: what a walk over them would cost is bounded."""
    doubled = b"]" + b"".join(b"q\x000(h\x00h\x00l" for _ in range(200))
    calls = b"".join(b"c__builtin__\nset\nh\x00\x85R0" for _ in range(2000))
    program = interpret(b"\x80\x02" + doubled + b"0" + calls + b"N.", ReaderLimits())
    assert program.complete


def test_shapes_stay_short():
    wide = b"c__builtin__\nset\n(" + b"K\x01" * 5000 + b"tR"
    program = interpret(b"\x80\x02" + wide + b".", ReaderLimits())
    assert all(len(use.use) < 200 for use in program.pickles[0].globals)
