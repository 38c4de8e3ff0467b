"""Checkpoints that torch itself writes: the facts must point at the very bytes that torch loads."""

import copy
import math
import warnings

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_gate.evidence import FileFormat
from registry_gate.finding import Severity
from registry_gate.formats import describe_file
from registry_gate.testing.hostile import ZipEntry, torch_zip, zip_bytes
from registry_gate.testing.hostile_pickles import short_text

torch.set_num_threads(1)
DTYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16),
    *(torch.int8, torch.uint8, torch.bool, torch.uint16, torch.uint32, torch.uint64, torch.complex64),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu, torch.float8_e4m3fnuz),
)


def read_back(path, source):
    """The tensor that a copy by the facts would make, as raw bytes in C order."""
    data = path.read_bytes()
    if source.stride is None:
        return data[source.offset : source.offset + source.nbytes]
    size = source.nbytes // max(1, math.prod(source.shape))
    out = bytearray()
    for index in range(math.prod(source.shape)):
        place, rest = 0, index
        for extent, step in zip(reversed(source.shape), reversed(source.stride), strict=True):
            rest, digit = divmod(rest, extent)
            place += digit * step
        at = source.offset + place * size
        out += data[at : at + size]
    return bytes(out)


def raw(tensor):
    return (
        bytes(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()) if tensor.numel() else b""
    )


def same(path, facts, state=None):
    state = state or torch.load(path, weights_only=True)
    assert [source.name for source in facts.tensors] == list(state)
    for source in facts.tensors:
        tensor = state[source.name]
        assert source.shape == tuple(tensor.shape)
        assert read_back(path, source) == raw(tensor), source.name
        assert (source.stride is None) == (tensor.is_contiguous() or not tensor.numel())


@pytest.fixture(scope="module")
def bert_state():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import BertConfig, BertForMaskedLM

    tiny = BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24
    )
    return BertForMaskedLM(tiny).state_dict()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_bert_with_tied_tensors(bert_state, protocol, tmp_path, read, judge):
    path = tmp_path / "pytorch_model.bin"
    torch.save(bert_state, path, pickle_protocol=protocol)
    facts = read(path)
    assert facts.format is FileFormat.TORCH_ZIP and facts.understood and facts.problems == ()
    assert facts.scanner.status == "complete" and facts.scanner.dangerous == ()
    assert judge(facts) == []
    same(path, facts, bert_state if protocol > 3 else None)  # torch's own reader stops at protocol 3
    places = {source.name: (source.storage, source.offset) for source in facts.tensors}
    tied = "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"
    assert places[tied[0]] == places[tied[1]]


def test_every_dtype_and_view(tmp_path, read, judge):
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = {str(dtype): torch.arange(6).to(torch.float32).to(dtype).reshape(2, 3) for dtype in DTYPES[:-5]}
    state |= {str(dtype): torch.ones(5).to(dtype) for dtype in DTYPES[-5:]}
    state |= {
        "whole": base,
        "transposed": base.t(),
        "slice": base[1:3, 2:5],
        "column": base[:, 3],
        "row": base[2],
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "ones": torch.ones(1, 1, 4).transpose(0, 2),
        "parameter": torch.nn.Parameter(torch.ones(3)),
        "positions": torch.arange(8).expand((1, -1)),
    }
    path = tmp_path / "model.pt"
    torch.save(state, path)
    facts = read(path)
    assert facts.problems == () and len(facts.tensors) == len(state)
    same(path, facts)
    assert judge(facts) == []


@pytest.mark.parametrize(
    "wrap", [("state_dict",), ("model",), ("model", "state_dict"), ("net",), ("odd_name",)]
)
def test_nested_state_dict(wrap, tmp_path, read):
    state = torch.nn.Linear(3, 2).state_dict()
    document = state
    for key in reversed(wrap):
        document = {"epoch": 3, key: document, "args": {"lr": 0.1}}
    path = tmp_path / "ckpt.pth"
    torch.save(document, path)
    facts = read(path)
    assert [source.name for source in facts.tensors] == ["weight", "bias"]
    assert {problem.code for problem in facts.problems} == {"extra-objects"}
    loaded = torch.load(path, weights_only=True)
    for key in wrap:
        loaded = loaded[key]
    assert all(read_back(path, source) == raw(loaded[source.name]) for source in facts.tensors)


def test_optimizer_beside_weights_is_set_aside(tmp_path, read, judge):
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    path = tmp_path / "ckpt.pt"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    facts = read(path)
    assert [source.name for source in facts.tensors] == ["weight", "bias"] and facts.understood
    assert {item.rule for item in judge(facts)} == {"extra-objects"}


def test_two_sets_of_weights_are_not_chosen_between(tmp_path, read):
    state = torch.nn.Linear(3, 2).state_dict()
    path = tmp_path / "ckpt.pt"
    torch.save({"model": state, "net": copy.deepcopy(state)}, path)
    facts = read(path)
    assert facts.tensors == () and not facts.understood
    assert "several-state-dicts" in {problem.code for problem in facts.problems}


def _quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(3, 3).to_sparse(),
        _quantised(),
        torch.ones(1).expand(10_000),
        torch.ones(2, dtype=torch.complex64).conj(),
        torch.ones(2, dtype=torch.complex128),
    ],
)
def test_tensors_that_no_safetensors_file_can_hold_are_named(tensor, tmp_path, read, judge):
    path = tmp_path / "model.bin"
    torch.save({"good": torch.ones(2), "odd": tensor}, path)
    facts = read(path)
    assert [source.name for source in facts.tensors] == ["good"]
    assert not facts.understood
    assert {item.code for item in facts.problems} == {"tensor-not-convertible"}
    assert [item.severity for item in judge(facts)] == [Severity.LOW]


def test_whole_module_is_off_the_list(tmp_path, read, judge):
    path = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    rules = {item.rule: item.message for item in judge(read(path))}
    assert "torch.nn.modules.linear.Linear" in rules["pickle-global-not-allowed"]


def test_torchscript_is_named_and_not_carried(tmp_path, read, judge):
    path = tmp_path / "model.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))
    facts = read(path)
    assert facts.format is FileFormat.TORCHSCRIPT and not facts.understood and facts.tensors == ()
    assert {item.rule for item in judge(facts)} == {"format-not-allowed"}


def test_big_endian_is_stated(tmp_path, read, judge):
    path = tmp_path / "model.bin"
    path.write_bytes(torch_zip(_rebuild(0, (2,), (1,), 6), {"data/0": bytes(24), "byteorder": b"big"}))
    facts = read(path)
    assert facts.understood and [source.byteorder for source in facts.tensors] == ["big"]
    assert {item.rule: item.severity for item in judge(facts)} == {"big-endian": Severity.INFO}
    path.write_bytes(torch_zip(_rebuild(0, (2,), (1,), 6), {"data/0": bytes(24), "byteorder": b"middle"}))
    assert not read(path).understood


def _rebuild(offset, size, stride, numel, key="0", kind="FloatStorage"):
    """A state dict of one tensor with free choice of every number."""

    def integers(values):
        return b"(" + b"".join(b"I%d\n" % value for value in values) + b"t"

    storage = (
        b"("
        + short_text("storage")
        + b"ctorch\n"
        + kind.encode()
        + b"\n"
        + short_text(key)
        + short_text("cpu")
        + b"I%d\ntQ" % numel
    )
    arguments = b"(" + storage + b"I%d\n" % offset + integers(size) + integers(stride) + b"I00\n}t"
    return b"\x80\x02}" + short_text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"Rs."


def test_the_hand_made_tensor_is_sound(tmp_path, read):
    path = tmp_path / "model.bin"
    path.write_bytes(torch_zip(_rebuild(1, (2, 2), (2, 1), 6), {"data/0": bytes(range(24))}))
    facts = read(path)
    assert facts.understood, facts.problems
    assert read_back(path, facts.tensors[0]) == bytes(range(4, 20))


@pytest.mark.parametrize(
    "stream",
    [
        _rebuild(3, (2, 2), (2, 1), 6),
        _rebuild(0, (2, 2), (5, 1), 6),
        _rebuild(-1, (2,), (1,), 6),
        _rebuild(0, (-2,), (1,), 6),
        _rebuild(0, (2,), (-1,), 6),
        _rebuild(0, (2, 2), (1,), 6),
        _rebuild(0, (7,), (1,), 6),
        _rebuild(0, (2**40, 2**40), (0, 0), 6),
        _rebuild(0, (2,), (1,), 7),
        _rebuild(0, (2,), (1,), 6, key="1"),
        _rebuild(0, (2,), (1,), 6, key="../../0"),
        _rebuild(0, (2,), (1,), 6, kind="OddStorage"),
        _rebuild(7, (0,), (1,), 6),
    ],
)
def test_tensors_outside_their_storage_are_no_tensors(stream, tmp_path, read):
    path = tmp_path / "model.bin"
    path.write_bytes(torch_zip(stream, {"data/0": bytes(24)}))
    facts = read(path)
    assert facts.tensors == () and not facts.understood
    assert facts.pickles[0].complete


@settings(max_examples=150, deadline=None)
@given(
    st.integers(-2, 10),
    st.lists(st.tuples(st.integers(-1, 6), st.integers(-1, 8)), max_size=4),
    st.integers(0, 8),
)
def test_every_described_element_lies_in_its_member(tmp_path_factory, offset, axes, numel):
    path = tmp_path_factory.mktemp("bounds") / "model.bin"
    shape, stride = [axis[0] for axis in axes], [axis[1] for axis in axes]
    content = torch_zip(_rebuild(offset, shape, stride, numel), {"data/0": b"\xaa" * 4 * numel})
    path.write_bytes(content)
    from registry_gate.formats import ReaderLimits

    for source in describe_file(path, path.name, ReaderLimits()).tensors:
        assert set(read_back(path, source)) <= {0xAA}
        assert len(read_back(path, source)) == source.nbytes


def test_the_same_name_twice_is_a_problem(tmp_path, read):
    one = _rebuild(0, (2,), (1,), 6)[3:-2]
    path = tmp_path / "model.bin"
    path.write_bytes(torch_zip(b"\x80\x02}" + one + b"s" + one + b"s.", {"data/0": bytes(24)}))
    facts = read(path)
    assert "tensor-name" in {problem.code for problem in facts.problems} and not facts.understood


def test_members_at_most(tmp_path, read):
    path = tmp_path / "model.bin"
    path.write_bytes(zip_bytes([ZipEntry(f"archive/data/{number}", b"") for number in range(200)]))
    assert "zip-malformed" in {item.code for item in read(path, max_members=100).problems}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_checkpoints_never_raise(tmp_path_factory, limits, data):
    path = tmp_path_factory.mktemp("mutated") / "pytorch_model.bin"
    good = torch_zip(_rebuild(1, (2, 2), (2, 1), 6), {"data/0": bytes(24)})
    content = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    facts = describe_file(path, path.name, limits)
    for source in facts.tensors:
        assert source.offset + (0 if source.stride else source.nbytes) <= path.stat().st_size


def test_zip64_checkpoints_are_followed(tmp_path, read):
    """torch writes zip64 end records always; a member stated in zip64 fields is followed too."""
    import zipfile

    path = tmp_path / "model.bin"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (("archive/data.pkl", b"\x80\x02}."), ("archive/version", b"3\n")):
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    facts = read(path)
    assert facts.pickles[0].complete
