"""Strided, offset and big-endian tensors against ``torch.load`` and ``torch.as_strided``."""

import math
import os

import numpy as np
import pytest
import torch
from blake3 import blake3
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from registry_gate.errors import Refused
from registry_gate.evidence import CopyPlan, TensorSource, WeightSet
from registry_gate.layout import ITEMSIZE, extent
from registry_gate.weights import spools
from registry_gate.weights.spools import gathered
from registry_gate.weights.stream import stage

from .test_stream import assert_equal_bits, assert_proof, convert
from .torch_plans import KINDS, plan_for, snapshot_of

TORCH = {name: kind for kind, name in KINDS.items()}


def strided_state():
    generator = torch.Generator().manual_seed(1)
    base = torch.randn(40, 30, generator=generator)
    joint = torch.randn(96, 32, generator=generator).half()
    return {
        "transposed": torch.randn(33, 65, generator=generator).t(),
        "channels_last": torch.randn(5, 7, 3, 3, generator=generator).to(memory_format=torch.channels_last),
        "column": base[:, 3],
        "every_other": base[::2, 1::3],
        "q": joint[:32].t(),
        "k": joint[32:64].t(),
        "v": joint[64:],
        "v.tied": joint[64:].t(),
        "permuted": torch.randn(2, 3, 4, 5, generator=generator).to(torch.bfloat16).permute(3, 1, 0, 2),
        "complex": torch.randn(6, 4, dtype=torch.complex64, generator=generator).t(),
        "bytes": torch.arange(24, dtype=torch.uint8).reshape(4, 6).t(),
        "expanded": torch.randn(1, 6, generator=generator).expand(3, 6),
        "plain": torch.randn(9, generator=generator),
        "empty": torch.empty(4, 0).t(),
        "scalar": base[3, 4],
    }


def test_strided_tensors_are_bit_equal_to_torch(tmp_path):
    state = strided_state()
    staged, _ = convert(tmp_path, state)
    loaded = torch.load(tmp_path / "source/pytorch_model.bin", weights_only=True)
    assert_equal_bits(loaded, load_file(tmp_path / "staged/model.safetensors"))
    assert_proof(staged, tmp_path / "staged", state)
    assert sorted(path.name for path in (tmp_path / "staged").iterdir()) == ["model.safetensors"]


def swapped(tensor):
    """What torch makes of a storage that was saved on a machine of the other byte order."""
    copy = tensor.contiguous().clone()
    copy.untyped_storage().byteswap(copy.dtype)
    return copy


@pytest.mark.parametrize("dtype", sorted(ITEMSIZE))
def test_a_big_endian_checkpoint_is_bit_equal_to_torch(tmp_path, dtype):
    torch.manual_seed(2)
    top = 2 if dtype == "BOOL" else 256
    data = torch.randint(0, top, (6, 4, ITEMSIZE[dtype]), dtype=torch.uint8)
    state = {"t": data.view(TORCH[dtype]).reshape(6, 4), "u": data[1].clone().view(TORCH[dtype]).reshape(4)}
    state["v"] = state["t"].t()
    folder = tmp_path / "source"
    folder.mkdir()
    torch.save(state, folder / "pytorch_model.bin")
    plan = plan_for(folder / "pytorch_model.bin").plans[0]
    tensors = tuple(item.model_copy(update={"byteorder": "big"}) for item in plan.tensors)
    chosen = WeightSet(plans=(plan.model_copy(update={"tensors": tensors}),))
    staged = stage(snapshot_of(folder), chosen, tmp_path / "staged")
    expected = {name: swapped(tensor) for name, tensor in state.items()}
    assert_equal_bits(expected, load_file(tmp_path / "staged/model.safetensors"))
    assert_proof(staged, tmp_path / "staged", expected)


views = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 40)), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    views=st.lists(st.tuples(st.integers(0, 30), views), min_size=1, max_size=6),
    dtype=st.sampled_from(["F16", "F32", "U8", "C64", "I64"]),
    big=st.booleans(),
    block=st.integers(8, 200),
)
def test_any_stride_over_one_storage(tmp_path_factory, views, dtype, big, block):
    tmp_path = tmp_path_factory.mktemp("stride")
    width, length = ITEMSIZE[dtype], 400
    data = os.urandom(length * width)
    storage = torch.frombuffer(bytearray(data), dtype=TORCH[dtype])
    tensors, state = [], {}
    for index, (offset, dimensions) in enumerate(views):
        shape, stride = tuple(s for s, _ in dimensions), tuple(step for _, step in dimensions)
        reach = offset + sum((s - 1) * step for s, step in dimensions)
        if reach >= length or math.prod(shape) > length // 2:
            continue
        tensors.append(
            TensorSource(
                name=f"t{index}",
                dtype=dtype,
                shape=shape,
                storage="0",
                offset=3 + offset * width,
                nbytes=math.prod(shape) * width,
                stride=stride,
                byteorder="big" if big else "little",
            )
        )
        view = torch.empty(shape, dtype=TORCH[dtype]).copy_(storage.as_strided(shape, stride, offset))
        state[f"t{index}"] = swapped(view) if big else view
    assume(tensors)
    (tmp_path / "source").mkdir()
    (tmp_path / "source/w.bin").write_bytes(b"abc" + data)
    plan = CopyPlan(source="w.bin", target="model.safetensors", tensors=tuple(tensors))
    before, spools._BLOCK = spools._BLOCK, block
    try:
        staged = stage(snapshot_of(tmp_path / "source"), WeightSet(plans=(plan,)), tmp_path / "staged")
    finally:
        spools._BLOCK = before
    assert_equal_bits(state, load_file(tmp_path / "staged/model.safetensors"))
    assert_proof(staged, tmp_path / "staged", state)


big = st.one_of(st.integers(-3, 50), st.integers(-(2**70), 2**70))


@settings(max_examples=200, deadline=None)
@given(
    offset=st.one_of(st.integers(0, 300), st.integers(0, 2**70)),
    shape=st.lists(big, max_size=5),
    stride=st.lists(big, max_size=5),
    nbytes=st.one_of(st.none(), st.integers(0, 2**70)),
    dtype=st.sampled_from([*sorted(ITEMSIZE), "F4", "nonsense"]),
    order=st.sampled_from(["little", "big", "", "BIG"]),
)
def test_hostile_strides_are_refused_or_stay_inside(
    tmp_path_factory, offset, shape, stride, nbytes, dtype, order
):
    tmp_path = tmp_path_factory.mktemp("hostile")
    (tmp_path / "source").mkdir()
    (tmp_path / "source/w.bin").write_bytes(bytes(range(256)))
    exact = math.prod(shape) * ITEMSIZE.get(dtype, 1)
    tensor = TensorSource(
        name="w",
        dtype=dtype,
        shape=tuple(shape),
        storage="0",
        offset=offset,
        nbytes=max(exact, 0) if nbytes is None else nbytes,
        stride=tuple(stride[: len(shape)]),
        byteorder=order,
    )
    plan = CopyPlan(source="w.bin", target="model.safetensors", tensors=(tensor,))
    try:
        staged = stage(snapshot_of(tmp_path / "source"), WeightSet(plans=(plan,)), tmp_path / "staged")
    except Refused as error:
        assert error.code == "bad-copy-plan"
        assert not (tmp_path / "staged").exists()
        return
    assert min(shape, default=1) >= 0
    assert offset + extent(dtype, tuple(shape), tensor.stride) <= 256
    assert staged.files[0].size < 100 + 8 + 16 * 1024


def test_numpy_itself_refuses_a_view_outside_its_range():
    tensor = TensorSource(
        name="w", dtype="F32", shape=(4, 4), storage="0", offset=0, nbytes=64, stride=(1, 5)
    )
    with pytest.raises(ValueError, match="strides"):
        list(gathered(bytes(64), tensor))


def test_a_large_transposed_matrix_in_bounded_memory(tmp_path):
    """No buffer of the tensor's size is allocated; what is put by lies in the page cache."""
    import tracemalloc

    rows, columns = 4096, 6000
    matrix = np.arange(rows * columns, dtype="<u2").reshape(rows, columns)
    (tmp_path / "source").mkdir()
    matrix.tofile(tmp_path / "source/w.bin")
    tensor = TensorSource(
        name="w",
        dtype="U16",
        shape=(columns, rows),
        storage="0",
        offset=0,
        nbytes=matrix.nbytes,
        stride=(1, columns),
    )
    plan = CopyPlan(source="w.bin", target="model.safetensors", tensors=(tensor,))
    snapshot = snapshot_of(tmp_path / "source")
    tracemalloc.start()
    staged = stage(snapshot, WeightSet(plans=(plan,)), tmp_path / "staged")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    digest = blake3(np.ascontiguousarray(matrix.T).tobytes()).hexdigest()
    assert staged.tensors[0].source_blake3 == staged.tensors[0].staged_blake3 == digest
    assert peak < 44 << 20


def test_a_copy_that_fails_ends_the_others(tmp_path):
    root = tmp_path / "source"
    root.mkdir()
    plans = []
    for number in (1, 2, 3):
        (root / f"{number}.bin").write_bytes(os.urandom(1 << 20))
        tensor = TensorSource(
            name=f"w{number}", dtype="U8", shape=(1 << 20,), storage="0", offset=0, nbytes=1 << 20
        )
        target = f"model-0000{number}-of-00003.safetensors"
        plans.append(CopyPlan(source=f"{number}.bin", target=target, tensors=(tensor,)))
    snapshot = snapshot_of(root)
    (root / "2.bin").write_bytes(os.urandom(1 << 20))
    with pytest.raises(Refused) as caught:
        stage(snapshot, WeightSet(plans=tuple(plans)), tmp_path / "staged")
    assert caught.value.code == "bytes-changed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
