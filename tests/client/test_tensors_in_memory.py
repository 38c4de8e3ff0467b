"""Tensors as views of the memory they were verified in: every kind, any alignment, for as long as used."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save

from registry_gate.client.own_memory import OwnMemory
from registry_gate.client.tensors import places, views
from registry_gate.errors import ToolError
from registry_gate.formats.dtypes import TORCH_DTYPES

KINDS = {getattr(torch, name) for name in TORCH_DTYPES}


def held(data: bytes) -> OwnMemory:
    memory = OwnMemory(len(data))
    memory.expect(0, len(data))
    memory.view[:] = data
    return memory


def tensors_of(data: bytes) -> dict[str, torch.Tensor]:
    memory = held(data)
    return dict(views("a", memory, places("a", memory)))


def raw(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(-1).view(torch.uint8)


def test_every_kind_is_what_the_safetensors_library_makes_of_it(tmp_path: Path) -> None:
    bits = torch.arange(64, dtype=torch.uint8)
    state = {
        str(kind): (bits % 2 if kind is torch.bool else bits).clone().view(kind).reshape(2, -1)
        for kind in KINDS
    }
    state |= {"none": torch.empty(0, 3), "scalar": torch.tensor(2.5)}
    (tmp_path / "a.safetensors").write_bytes(data := save(state))
    found, expected = tensors_of(data), load_file(tmp_path / "a.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(raw(found[name]), raw(tensor)), name


def test_tensors_share_the_memory_may_be_written_and_keep_it_alive() -> None:
    data = save({"a": torch.arange(6.0), "b": torch.ones(3)})
    found = tensors_of(data)
    assert found["a"].untyped_storage().data_ptr() == found["b"].untyped_storage().data_ptr()
    kept = found.pop("a")
    found.clear()
    gc.collect()
    filler = [OwnMemory(1 << 16) for _ in range(64)]
    for memory in filler:
        memory.view[:] = b"\xff" * len(memory.view)
    kept[0] = 7.0
    assert kept.tolist() == [7.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_tensor_where_no_processor_likes_it_is_copied_and_right() -> None:
    header = {
        "odd": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "wide": {"dtype": "F64", "shape": [2], "data_offsets": [1, 17]},
    }
    text = json.dumps(header).encode()
    wide = torch.tensor([1.5, -2.0], dtype=torch.float64)
    data = len(text).to_bytes(8, "little") + text + b"\x05" + wide.numpy().tobytes()
    assert torch.equal(tensors_of(data)["wide"], wide)


def test_a_kind_that_torch_has_no_type_for_is_refused() -> None:
    text = json.dumps({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}).encode()
    with pytest.raises(ToolError) as caught:
        tensors_of(len(text).to_bytes(8, "little") + text + b"\0")
    assert caught.value.code == "load-failed"


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=80), length=st.integers(0, 2**64 - 1) | st.integers(0, 80))
def test_whatever_lies_there_is_read_or_refused_with_its_code(data: bytes, length: int) -> None:
    try:
        tensors_of(length.to_bytes(8, "little") + data)
    except ToolError as error:
        assert error.code == "load-failed"


def test_what_was_not_read_is_zero_and_hints_change_nothing() -> None:
    memory = OwnMemory(9 << 20)
    for begin, end in ((0, 0), (1, 2), (5 << 20, (9 << 20) - 1), (0, 9 << 20), (8 << 20, 8 << 20)):
        memory.expect(begin, end)
    memory.view[-1:] = b"x"
    assert memory.read(3, (9 << 20) - 2) == b"\0x"
    assert memory.read(4, 0) == bytes(4)
    assert OwnMemory(0).read(8, 0) == b""
