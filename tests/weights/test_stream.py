import hashlib
import itertools
import json
import os
import subprocess
import sys
import tracemalloc

import pytest
import torch
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from registry_gate.candidate import SnapshotFile
from registry_gate.errors import Refused, ToolError, UsageError
from registry_gate.evidence import CopyPlan, TensorSource, WeightSet
from registry_gate.weights import lanes
from registry_gate.weights.digests import CHUNK_SIZE, ChunkDigests, TensorDigests
from registry_gate.weights.stream import stage
from registry_gate.weights.target import lay_out

from .torch_plans import KINDS, plan_for, snapshot_of


def saved(folder, state):
    folder.mkdir(exist_ok=True)
    torch.save(state, folder / "pytorch_model.bin")
    return folder / "pytorch_model.bin"


def convert(tmp_path, state):
    source = saved(tmp_path / "source", state)
    snapshot = snapshot_of(source.parent)
    return stage(snapshot, plan_for(source), tmp_path / "staged"), snapshot


def raw(tensor):
    return bytes(tensor.contiguous().view(torch.uint8).flatten().tolist()) if tensor.numel() else b""


def assert_equal_bits(state, loaded):
    assert set(state) == set(loaded)
    for name, tensor in state.items():
        assert tensor.dtype == loaded[name].dtype
        assert tensor.shape == loaded[name].shape
        assert raw(tensor.reshape(-1)) == raw(loaded[name].reshape(-1)), name


def assert_proof(staged, root, state):
    """Digests and chunks are those of the files on disk; every tensor was measured, equal on both sides."""
    for file in staged.files:
        data = (root / file.name).read_bytes()
        assert file.size == len(data)
        assert file.sha256 == hashlib.sha256(data).hexdigest()
        assert not file.chunk_ends or file.chunk_ends[-1] == file.size
        ends = file.chunk_ends or (*range(CHUNK_SIZE, len(data), CHUNK_SIZE), len(data))
        pieces = [data[begin:end] for begin, end in itertools.pairwise((0, *ends)) if end]
        digest = blake3 if file.name.endswith(".safetensors") else hashlib.sha256
        assert file.algorithm == digest().name
        assert list(file.chunks) == [digest(piece).hexdigest() for piece in pieces]
    assert {item.name for item in staged.tensors} == set(state)
    for item in staged.tensors:
        digest = blake3(raw(state[item.name].reshape(-1))).hexdigest()
        assert item.source_blake3 == item.staged_blake3 == digest
        assert item.elements == state[item.name].numel()


def every_kind():
    generator = torch.Generator().manual_seed(3)
    return {
        f"t.{name}": torch.randint(0, 2, (3, 5), generator=generator).to(torch.float32).to(kind)
        for kind, name in KINDS.items()
        if "E8M0" not in name
    }


def test_conversion_is_bit_equal_for_every_kind(tmp_path):
    state = every_kind()
    staged, _ = convert(tmp_path, state)
    assert_equal_bits(state, load_file(tmp_path / "staged/model.safetensors"))
    assert_proof(staged, tmp_path / "staged", state)


def test_a_network_with_batch_norm_and_odd_sizes(tmp_path):
    state = torch.nn.Sequential(
        torch.nn.Conv2d(3, 7, 3), torch.nn.BatchNorm2d(7), torch.nn.Conv2d(7, 5, 3), torch.nn.BatchNorm2d(5)
    ).state_dict()
    staged, _ = convert(tmp_path, state)
    assert_equal_bits(state, load_file(tmp_path / "staged/model.safetensors"))
    assert_proof(staged, tmp_path / "staged", state)


def test_tied_tensors_are_written_in_full_under_each_name(tmp_path):
    shared = torch.randn(40, 8)
    state = {"a.weight": shared, "middle": torch.randn(3), "b.weight": shared, "c.row": shared[2:5]}
    staged, _ = convert(tmp_path, state)
    assert_equal_bits(state, load_file(tmp_path / "staged/model.safetensors"))
    assert_proof(staged, tmp_path / "staged", state)


def test_empty_tensors_and_scalars(tmp_path):
    state = {
        "scalar": torch.tensor(3.5),
        "none": torch.empty(0, 4),
        "last": torch.ones(2),
        "end": torch.empty(0),
    }
    staged, _ = convert(tmp_path, state)
    assert_equal_bits(state, load_file(tmp_path / "staged/model.safetensors"))
    assert {item.name: item.elements for item in staged.tensors} == {
        "scalar": 1,
        "none": 0,
        "last": 2,
        "end": 0,
    }


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(
        st.tuples(st.sampled_from(["F32", "F16", "I64", "U8", "BF16", "F64"]), st.integers(0, 300)),
        min_size=1,
        max_size=12,
    ),
    gaps=st.lists(st.integers(0, 9), min_size=12, max_size=12),
    read=st.integers(1, 700),
)
def test_any_layout_and_any_read_size(tmp_path_factory, sizes, gaps, read):
    """Sources with gaps and unaligned tensors, cut at any byte."""
    tmp_path = tmp_path_factory.mktemp("law")
    (tmp_path / "source").mkdir()
    kinds = {name: kind for kind, name in KINDS.items()}
    generator = torch.Generator().manual_seed(read)
    data, tensors, state = b"", [], {}
    for index, (dtype, count) in enumerate(sizes):
        data += os.urandom(gaps[index])
        width = torch.empty(0, dtype=kinds[dtype]).element_size()
        content = bytes(
            torch.randint(0, 256, (count * width,), dtype=torch.uint8, generator=generator).tolist()
        )
        name = f"t{index}"
        tensors.append(
            TensorSource(
                name=name, dtype=dtype, shape=(count,), storage="s", offset=len(data), nbytes=len(content)
            )
        )
        state[name] = torch.frombuffer(bytearray(content), dtype=kinds[dtype]) if content else torch.empty(0)
        data += content
    (tmp_path / "source" / "w.bin").write_bytes(data + b"tail")
    plan = CopyPlan(source="w.bin", target="model.safetensors", tensors=tuple(tensors))
    snapshot = snapshot_of(tmp_path / "source")
    before, lanes.READ_SIZE = lanes.READ_SIZE, read
    try:
        staged = stage(snapshot, WeightSet(plans=(plan,)), tmp_path / "staged")
    finally:
        lanes.READ_SIZE = before
    assert_proof(staged, tmp_path / "staged", state)
    assert set(load_file(tmp_path / "staged/model.safetensors")) == set(state)


def test_files_are_carried_byte_for_byte_and_progress_ends_at_the_total(tmp_path):
    source = saved(tmp_path / "source", {"w": torch.randn(1000, 1000)})
    (source.parent / "config.json").write_text("{}")
    (source.parent / "empty.txt").write_text("")
    (source.parent / "1_Pooling").mkdir()
    (source.parent / "1_Pooling/config.json").write_text('{"a": 1}')
    carried = ("config.json", "empty.txt", "1_Pooling/config.json")
    weights = plan_for(source).model_copy(update={"carried": carried})
    seen = []
    staged = stage(snapshot_of(source.parent), weights, tmp_path / "staged", lambda *step: seen.append(step))
    total = sum(path.stat().st_size for path in source.parent.rglob("*") if path.is_file())
    assert seen[-1] == ("convert", total, total)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    for name in carried:
        assert (tmp_path / "staged" / name).read_bytes() == (source.parent / name).read_bytes()
    by_name = {file.name: file for file in staged.files}
    assert by_name["empty.txt"].chunks == ()
    assert by_name["config.json"].source_sha256 == by_name["config.json"].sha256
    assert staged.root == tmp_path / "staged"


def test_shards_get_an_index_written_from_what_was_staged(tmp_path):
    root = tmp_path / "source"
    root.mkdir()
    states = [{"a": torch.randn(4)}, {"b": torch.randn(5), "c": torch.randn(6)}]
    plans = []
    for number, state in enumerate(states, 1):
        path = root / f"model-0000{number}-of-00002.safetensors"
        save_file(state, path)
        header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
        start = 8 + int.from_bytes(path.read_bytes()[:8], "little")
        tensors = tuple(
            TensorSource(
                name=name,
                dtype=entry["dtype"],
                shape=tuple(entry["shape"]),
                storage=name,
                offset=start + entry["data_offsets"][0],
                nbytes=entry["data_offsets"][1] - entry["data_offsets"][0],
            )
            for name, entry in header.items()
        )
        plans.append(CopyPlan(source=path.name, target=path.name, tensors=tensors))
    (root / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../etc/passwd"}}')
    staged = stage(snapshot_of(root), WeightSet(plans=tuple(plans)), tmp_path / "staged")
    index = json.loads((tmp_path / "staged/model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 4 * 15
    assert index["weight_map"] == {"a": plans[0].target, "b": plans[1].target, "c": plans[1].target}
    assert_proof(staged, tmp_path / "staged", states[0] | states[1])


@pytest.mark.parametrize("change", ["flip", "longer", "shorter", "link"])
def test_a_source_that_changed_is_refused_and_nothing_is_left(tmp_path, change):
    source = saved(tmp_path / "source", {"w": torch.randn(64, 64)})
    snapshot, weights = snapshot_of(source.parent), plan_for(source)
    data = source.read_bytes()
    if change == "flip":
        source.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    elif change == "link":
        source.rename(tmp_path / "elsewhere")
        source.symlink_to(tmp_path / "elsewhere")
    else:
        source.write_bytes(data + b"x" if change == "longer" else data[:-1])
    with pytest.raises(ToolError if change == "link" else Refused) as caught:
        stage(snapshot, weights, tmp_path / "staged")
    assert caught.value.code == ("staging-failed" if change == "link" else "bytes-changed")
    assert not (tmp_path / "staged").exists()
    assert not (tmp_path / "staged.partial").exists()


def test_an_endless_source_is_cut_at_its_stated_size(tmp_path):
    root = tmp_path / "source"
    root.mkdir()
    with (root / "big.txt").open("wb") as file:
        file.truncate(1 << 40)  # sparse: reading it all would take an hour
    file = SnapshotFile(path="big.txt", size=10, sha256="0" * 64)
    snapshot = snapshot_of(tmp_path / "none").model_copy(update={"root": root, "files": (file,)})
    with pytest.raises(Refused) as caught:
        stage(snapshot, WeightSet(carried=("big.txt",)), tmp_path / "staged")
    assert caught.value.code == "bytes-changed"


GOOD = TensorSource(name="w", dtype="F32", shape=(4,), storage="0", offset=0, nbytes=16)
BAD = {
    "twice": (GOOD, GOOD),
    "outside": (GOOD.model_copy(update={"offset": 1000}),),
    "far outside": (GOOD.model_copy(update={"offset": 1 << 70}),),
    "wrong count": (GOOD.model_copy(update={"nbytes": 15}),),
    "huge shape": (GOOD.model_copy(update={"shape": (1 << 61, 1 << 61), "nbytes": 0}),),
    "negative shape": (GOOD.model_copy(update={"shape": (-2, -2)}),),
    "many dimensions": (GOOD.model_copy(update={"shape": (1,) * 5000 + (4,)}),),
    "unknown kind": (GOOD.model_copy(update={"dtype": "F4", "nbytes": 2}),),
    "stride outside": (GOOD.model_copy(update={"shape": (2, 2), "stride": (1, 250)}),),
    "negative stride": (GOOD.model_copy(update={"shape": (2, 2), "stride": (1, -1)}),),
    "huge stride": (GOOD.model_copy(update={"shape": (2, 2), "stride": (1 << 70, 1)}),),
    "huge expansion": (GOOD.model_copy(update={"shape": (1 << 40,), "stride": (0,), "nbytes": 1 << 42}),),
    "byte order": (GOOD.model_copy(update={"byteorder": "middle"}),),
    "short stride": (GOOD.model_copy(update={"shape": (2, 2), "stride": (1,)}),),
    "metadata": (GOOD.model_copy(update={"name": "__metadata__"}),),
    "surrogate": (GOOD.model_copy(update={"name": "\ud800"}),),
    "long name": (GOOD.model_copy(update={"name": "n" * 5000}),),
    "no name": (GOOD.model_copy(update={"name": ""}),),
    "none": (),
    "growth": tuple(GOOD.model_copy(update={"name": f"w{index}"}) for index in range(1000)),
}


@pytest.mark.parametrize("case", BAD)
def test_hostile_plans_are_refused_before_anything_is_written(tmp_path, case):
    root = tmp_path / "source"
    root.mkdir()
    (root / "w.bin").write_bytes(bytes(1000))
    plan = CopyPlan(source="w.bin", target="model.safetensors", tensors=BAD[case])
    with pytest.raises(Refused) as caught:
        stage(snapshot_of(root), WeightSet(plans=(plan,)), tmp_path / "staged")
    assert caught.value.code == "bad-copy-plan"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_many_overlapping_tensors_are_refused_within_bounded_memory(tmp_path):
    root = tmp_path / "source"
    root.mkdir()
    (root / "w.bin").write_bytes(bytes(9 << 20))
    edge = 4 << 20
    tensors = tuple(
        TensorSource(
            name=f"t{n}", dtype="F16", shape=(256,), storage="0", offset=edge - 256 + 2 * n, nbytes=512
        )
        for n in range(100)
    )
    plan = CopyPlan(source="w.bin", target="model.safetensors", tensors=tensors)
    with pytest.raises(Refused) as caught:
        stage(snapshot_of(root), WeightSet(plans=(plan,)), tmp_path / "staged")
    assert caught.value.code == "bad-copy-plan"
    assert not (tmp_path / "staged.partial").exists()


@pytest.mark.parametrize(
    ("plans", "carried"),
    [
        (("../model.safetensors",), ()),
        (("/tmp/model.safetensors",), ()),
        (("a\\b.safetensors",), ()),
        (("model.bin",), ()),
        (("model.safetensors", "Model.safetensors"), ()),
        (("a.safetensors", "a.safetensors/b.safetensors"), ()),
        ((), ("absent.json",)),
        ((), ("w.bin", "w.bin")),
    ],
)
def test_names_that_no_release_may_have_are_refused(tmp_path, plans, carried):
    root = tmp_path / "source"
    root.mkdir()
    (root / "w.bin").write_bytes(bytes(64))
    made = tuple(CopyPlan(source="w.bin", target=target, tensors=(GOOD,)) for target in plans)
    with pytest.raises(Refused) as caught:
        stage(snapshot_of(root), WeightSet(plans=made, carried=carried), tmp_path / "staged")
    assert caught.value.code == "bad-copy-plan"


def test_a_destination_in_use_is_left_alone_and_an_old_attempt_replaced(tmp_path):
    source = saved(tmp_path / "source", {"w": torch.ones(2)})
    (tmp_path / "staged").mkdir()
    (tmp_path / "staged.partial").mkdir()
    (tmp_path / "staged.partial/model.safetensors").write_text("half of an earlier attempt")
    stage(snapshot_of(source.parent), plan_for(source), tmp_path / "staged")
    assert load_file(tmp_path / "staged/model.safetensors")["w"].tolist() == [1, 1]
    with pytest.raises(UsageError) as caught:
        stage(snapshot_of(source.parent), plan_for(source), tmp_path / "staged")
    assert caught.value.code == "not-empty"


def test_a_full_disk_is_a_tool_error(tmp_path):
    """In a process of its own, whose files may not grow beyond 64 kB."""
    saved(tmp_path / "source", {"w": torch.randn(300, 300)})
    code = (
        "import resource, signal, sys; from pathlib import Path; "
        "from tests.weights.torch_plans import plan_for, snapshot_of; "
        "from registry_gate.weights.stream import stage; from registry_gate.errors import ToolError\n"
        f"root = Path({str(tmp_path)!r}); plan = plan_for(root / 'source/pytorch_model.bin')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "try: stage(snapshot_of(root / 'source'), plan, root / 'staged')\n"
        "except ToolError as error: sys.exit(error.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip().endswith("staging-failed")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_memory_stays_bounded(tmp_path):
    root = tmp_path / "source"
    root.mkdir()
    with (root / "w.bin").open("wb") as file:
        file.truncate(200 << 20)
    half = TensorSource(name="w", dtype="F16", shape=(100 << 20,), storage="0", offset=0, nbytes=200 << 20)
    plan = CopyPlan(source="w.bin", target="model.safetensors", tensors=(half,))
    digest = hashlib.sha256(bytes(200 << 20)).hexdigest()
    snapshot = snapshot_of(tmp_path / "none").model_copy(
        update={"root": root, "files": (SnapshotFile(path="w.bin", size=200 << 20, sha256=digest),)}
    )
    tracemalloc.start()
    stage(snapshot, WeightSet(plans=(plan,)), tmp_path / "staged")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 48 << 20


def test_source_order_is_kept_only_where_it_is_aligned():
    wide = TensorSource(name="a", dtype="F32", shape=(3,), storage="0", offset=0, nbytes=12)
    long = TensorSource(name="b", dtype="I64", shape=(1,), storage="1", offset=12, nbytes=8)
    layout = lay_out(CopyPlan(source="s", target="t", tensors=(wide, long)), 100)
    assert [item.tensor.name for item in layout.placements] == ["b", "a"]
    assert not layout.sequential
    assert all(item.begin % 8 == 0 for item in layout.placements)
    even = wide.model_copy(update={"shape": (2,), "nbytes": 8})
    layout = lay_out(CopyPlan(source="s", target="t", tensors=(long, even)), 100)
    assert [item.tensor.name for item in layout.placements] == ["a", "b"]
    assert layout.sequential


@given(st.lists(st.integers(0, 50), max_size=20))
def test_digests_do_not_depend_on_the_cut(cuts):
    tensors = tuple(
        TensorSource(name=f"t{n}", dtype="U8", shape=(n,), storage="0", offset=0, nbytes=n) for n in range(9)
    )
    layout = lay_out(CopyPlan(source="s", target="t", tensors=tensors), 100)
    data = layout.header + bytes(range(layout.size - len(layout.header)))
    found, chunks, at = TensorDigests(layout.placements, len(layout.header)), ChunkDigests(), 0
    for cut in (*cuts, len(data)):
        for sink in (found, chunks):
            sink.update(memoryview(data)[at : at + cut])
        at = min(at + cut, len(data))
    expected = {
        item.tensor.name: blake3(data[item.begin : item.end]).hexdigest() for item in layout.placements
    }
    assert found.tensors == expected
    assert found.ends == (len(data),)
    assert found.chunks == [blake3(data).hexdigest()]
    assert chunks.result() == (hashlib.sha256(data).hexdigest(),)
