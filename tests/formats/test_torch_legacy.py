"""Legacy checkpoints that torch itself writes, and what must not pass for one."""

import pickle
import struct
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_gate.evidence import FileFormat
from registry_gate.finding import Severity
from registry_gate.formats import ReaderLimits, describe_file
from registry_gate.testing.hostile_pickles import global_reduce, short_text
from tests.formats.test_torch_file import DTYPES, read_back, same

torch.set_num_threads(1)
UNTYPED = {torch.uint16, torch.uint32, torch.uint64}


def save(path, document, protocol=2):
    torch.save(document, path, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    return path


def legacy(document=b"\x80\x02}.", storages=(), keys=None, head=None):
    """A legacy file by hand: an object's pickle, and (key, count, bytes) of its storages."""
    magic, version = pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2)
    facts = pickle.dumps({"protocol_version": 1001, "little_endian": True}, 2)
    listed = pickle.dumps([key for key, _, _ in storages] if keys is None else keys, 2)
    tail = b"".join(struct.pack("<q", count) + data for _, count, data in storages)
    return (head or magic + version + facts) + document + listed + tail


def one_tensor(offset=0, size=2, numel=4, key="7", kind=b"FloatStorage", view=b"N"):
    """A state dict of one tensor over one storage, as torch pickles it."""
    numbers = f"I{numel}\n".encode()
    storage = b"(" + short_text("storage") + b"ctorch\n" + kind + b"\n" + short_text(key) + short_text("cpu")
    place = storage + numbers + view + b"tQ"
    shape = f"I{offset}\n(I{size}\nt(I1\nt".encode()
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n(" + place + shape + b"I00\n}tR"
    return b"\x80\x02}" + short_text("w") + rebuild + b"s."


GOOD = legacy(one_tensor(), [("7", 4, bytes(range(16)))])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_dtype_and_view(protocol, tmp_path, read, judge):
    base = torch.arange(24.0).reshape(4, 6)
    state = {str(kind): torch.ones(5).to(kind) for kind in DTYPES if kind not in UNTYPED}
    state |= {"t": base.t(), "slice": base[1:3, 2:5], "whole": base, "empty": torch.zeros(0, 3)}
    state |= {"parameter": torch.nn.Parameter(torch.ones(3)), "scalar": torch.tensor(7)}
    state = {key: value for key, value in state.items() if "float8" not in key}
    path = save(tmp_path / "pytorch_model.bin", state, protocol)
    facts = read(path)
    assert facts.format is FileFormat.TORCH_LEGACY and facts.understood and facts.problems == ()
    assert len(facts.pickles) == 5 and all(program.complete for program in facts.pickles)
    assert judge(facts) == [] or {item.severity for item in judge(facts)} == {Severity.LOW}
    same(path, facts, state if protocol > 2 else None)


def test_types_that_torch_cannot_load_again_are_read_all_the_same(tmp_path, read):
    state = {"a": torch.ones(5).to(torch.uint16), "b": torch.ones(4).to(torch.float8_e5m2)}
    path = save(tmp_path / "model.bin", state)
    same(path, read(path), state)


def test_nested_and_optimizer_storages_are_walked(tmp_path, read):
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    document = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    path = save(tmp_path / "ckpt.pt", document)
    facts = read(path)
    assert facts.understood and {item.code for item in facts.problems} == {"extra-objects"}
    same(path, facts, model.state_dict())


def test_what_safetensors_cannot_hold_is_named(tmp_path, read):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantised = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    state = {"q": quantised, "s": torch.eye(3).to_sparse(), "c": torch.ones(2, dtype=torch.complex128)}
    facts = read(save(tmp_path / "model.bin", state))
    details = " ".join(item.detail for item in facts.problems)
    assert {item.code for item in facts.problems} == {"tensor-not-convertible", "no-tensors"}
    assert "quantised" in details and "sparse" in details and "ComplexDouble" in details
    assert not facts.understood


def test_the_hand_made_file_is_sound(tmp_path, read):
    path = tmp_path / "model.bin"
    path.write_bytes(GOOD)
    facts = read(path)
    assert facts.understood and read_back(path, facts.tensors[0]) == bytes(range(8))


def test_views_of_storages_are_placed(tmp_path, read):
    path = tmp_path / "model.bin"
    view = b"(" + short_text("8") + b"I1\nI3\nt"
    path.write_bytes(legacy(one_tensor(offset=1, view=view), [("7", 4, bytes(range(16)))]))
    facts = read(path)
    assert facts.understood and read_back(path, facts.tensors[0]) == bytes(range(8, 16))
    path.write_bytes(legacy(one_tensor(offset=2, view=view), [("7", 4, bytes(range(16)))]))
    assert not read(path).understood


STORAGE = ("7", 4, bytes(16))
MAGIC_BY_CALL = b"\x80\x02cbuiltins\nint\n" + short_text("119547037146038801333356") + b"\x85R."


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (GOOD + b"x", "legacy-trailing-bytes"),
        (GOOD[:-1], "legacy-malformed"),
        (legacy(one_tensor(), [("7", 5, bytes(20))]), "legacy-malformed"),
        (legacy(one_tensor(), [("7", -1, b"")]), "legacy-malformed"),
        (legacy(one_tensor(), [STORAGE, STORAGE]), "legacy-malformed"),
        (legacy(one_tensor(), [STORAGE, ("9", 1, bytes(4))]), "legacy-malformed"),
        (legacy(one_tensor(), []), "legacy-malformed"),
        (legacy(one_tensor(), [], keys=7), "legacy-malformed"),
        (legacy(one_tensor(kind=b"OddStorage"), [STORAGE]), "legacy-malformed"),
        (legacy(one_tensor(size=5), [STORAGE]), "tensor-not-plain"),
        (legacy(one_tensor(offset=3), [STORAGE]), "tensor-not-plain"),
        (legacy(head=pickle.dumps(0x1950A86A20F9469CFC6C, 2)), "pickle-not-understood"),
        (legacy()[:20], "pickle-not-understood"),
        (legacy(document=global_reduce("os", "system", "true")), None),
    ],
)
def test_files_out_of_order(content, code, tmp_path, read, judge):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(content)
    facts = read(path)
    assert facts.format is FileFormat.TORCH_LEGACY
    assert code is None or code in {item.code for item in facts.problems}
    assert code is None or not facts.understood
    assert any(item.severity.rank >= Severity.MEDIUM.rank for item in judge(facts))


def test_a_magic_number_made_by_a_call_is_no_legacy_file(tmp_path, read, judge):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(legacy(head=MAGIC_BY_CALL + pickle.dumps(1001, 2) + pickle.dumps({}, 2)))
    facts = read(path)
    assert facts.format is FileFormat.PICKLE
    assert {"extension-mismatch", "pickle-argument-not-allowed"} <= {item.rule for item in judge(facts)}


def test_programs_in_the_plain_pickles_are_seen(tmp_path, read, judge):
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(legacy(head=head + global_reduce("os", "system", "true")))
    assert {"legacy-malformed", "pickle-global-not-allowed"} <= {item.rule for item in judge(read(path))}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_files_never_raise_nor_point_outside(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("mutated") / "pytorch_model.bin"
    content = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(14, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(14, len(content)))]))
    for source in describe_file(path, path.name, ReaderLimits()).tensors:
        assert source.offset + (0 if source.stride else source.nbytes) <= path.stat().st_size
