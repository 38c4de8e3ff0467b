import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from registry_gate.evidence import Facts, FileFormat, SandboxReport
from registry_gate.formats import ReaderLimits, describe
from registry_gate.policy import load_policy
from registry_gate.weights.selection import select_weights, whole_file
from registry_gate.weights.stream import stage

from .torch_plans import snapshot_of

POLICY = load_policy("default")
TORCH = POLICY.model_copy(
    update={
        "weight_preference": (FileFormat.SAFETENSORS, FileFormat.TORCH_ZIP, FileFormat.TORCH_LEGACY),
        "formats": (*POLICY.formats, FileFormat.TORCH_LEGACY),
    }
)


def facts_of(root):
    """The real readers, here without their sandbox."""
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    files = tuple(describe(root / path, path, ReaderLimits()) for path in paths)
    return Facts(files=files, sandbox=SandboxReport(mode="none", guarantees=()))


def chosen(root, policy=POLICY):
    return select_weights(facts_of(root), policy)


def reasons(found):
    return dict(found.left_behind)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    return folder


def write_weights(path, **tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    state = tensors or {"w": torch.ones(2, 3)}
    if path.suffix == ".safetensors":
        save_file(state, path, {"format": "pt"})
    else:
        torch.save(state, path)


def test_a_torch_checkpoint_becomes_safetensors(root):
    write_weights(root / "pytorch_model.bin")
    found = chosen(root)
    assert [(plan.source, plan.target) for plan in found.plans] == [
        ("pytorch_model.bin", "model.safetensors")
    ]
    assert found.plans[0].metadata == {"format": "pt"}
    assert found.carried == ("config.json",)
    assert not found.problems


def test_safetensors_are_preferred_and_the_rest_is_left_with_a_reason(root):
    for name in (
        *("model.safetensors", "model.fp16.safetensors", "pytorch_model.bin", "optimizer.pt"),
        *("onnx/model.safetensors", "adapter_model.safetensors"),
    ):
        write_weights(root / name)
    torch.save({"lr": 1}, root / "training_args.bin")
    (root / "adapter_config.json").write_text("{}")
    (root / "trainer_state.json").write_text("{}")
    (root / "modeling_x.py").write_text("import os\n")
    (root / "README.md").write_text("# A model\n")
    (root / "vocab.txt").write_text("a\nb\n")
    (root / "LICENSE").write_text("Apache-2.0\n")
    (root / ".gitattributes").write_text("* text\n")
    (root / "docs").mkdir()
    (root / "docs/notes.txt").write_text("x\n")
    found = chosen(root)
    assert [plan.source for plan in found.plans] == ["model.safetensors"]
    assert set(found.carried) == {"config.json", "README.md", "vocab.txt", "LICENSE"}
    left = reasons(found)
    assert "adapter" in left["adapter_model.safetensors"]
    assert "adapter" in left["adapter_config.json"]
    assert "code" in left["modeling_x.py"]
    assert "training state" in left["optimizer.pt"]
    assert "training state" in left["training_args.bin"]
    assert "other weights" in left["model.fp16.safetensors"]
    assert "other weights" in left["pytorch_model.bin"]
    assert "other weights" in left["onnx/model.safetensors"]
    every = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert every == set(left) | set(found.carried) | {"model.safetensors"}


def test_the_policy_orders_the_formats(root):
    write_weights(root / "model.safetensors")
    write_weights(root / "pytorch_model.bin")
    policy = POLICY.model_copy(update={"weight_preference": (FileFormat.TORCH_ZIP, FileFormat.SAFETENSORS)})
    assert [plan.source for plan in chosen(root, policy).plans] == ["pytorch_model.bin"]


def test_a_preferred_file_that_cannot_be_read_is_not_replaced_by_another(root):
    (root / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0" + b"{not json}" + bytes(50))
    write_weights(root / "pytorch_model.bin")
    found = chosen(root)
    assert found.plans == ()
    assert [problem.code for problem in found.problems] == ["not-convertible"]


def shards(root, *states, total=None, index=True, stem="model", suffix="safetensors", **torch_options):
    """A series as transformers writes it; ``index`` may be another table than the true one."""
    table = {}
    for number, state in enumerate(states, 1):
        path = root / f"{stem}-{number:05}-of-{total or len(states):05}.{suffix}"
        table |= dict.fromkeys(state, path.name)
        if suffix == "bin":
            torch.save(state, path, **torch_options)
        else:
            save_file(state, path, {"format": "pt"})
    table = index if isinstance(index, dict) else table
    if index:
        (root / f"{stem}.{suffix}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": table}))


TWO = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def test_a_complete_series_of_shards_is_one_set(root, tmp_path):
    shards(root, {"a": torch.ones(2)}, {"b": torch.zeros(3)})
    found = chosen(root)
    assert tuple(plan.target for plan in found.plans) == TWO
    assert "written anew" in reasons(found)["model.safetensors.index.json"]
    staged = stage(snapshot_of(root), found, tmp_path / "staged")
    assert "model.safetensors.index.json" in {file.name for file in staged.files}


@pytest.mark.parametrize("legacy", [False, True])
def test_torch_shards_become_safetensors_shards(root, tmp_path, legacy):
    states = {"a": torch.arange(4.0)}, {"b": torch.zeros(3, dtype=torch.bfloat16), "c": torch.ones(2, 2)}
    shards(root, *states, stem="pytorch_model", suffix="bin", _use_new_zipfile_serialization=not legacy)
    found = chosen(root, TORCH)
    assert tuple(plan.target for plan in found.plans) == TWO
    assert "written anew" in reasons(found)["pytorch_model.bin.index.json"]
    stage(snapshot_of(root), found, tmp_path / "staged")
    index = json.loads((tmp_path / "staged/model.safetensors.index.json").read_text())
    assert index["weight_map"] == {"a": TWO[0], "b": TWO[1], "c": TWO[1]}
    for state, name in zip(states, TWO, strict=True):
        loaded = load_file(tmp_path / "staged" / name)
        assert all(torch.equal(loaded[key], tensor) for key, tensor in state.items())


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"a": TWO[1], "b": TWO[1]}, "'a' not in the shard"),
        ({"a": TWO[0]}, "'b' in the shards and not in the index"),
        ({"a": TWO[0], "b": TWO[1], "c": TWO[1]}, "'c' not in the shard"),
        ({"a": TWO[0], "b": TWO[1], "c": "other.safetensors"}, "'other.safetensors' named and not there"),
        ({"a": TWO[0], "b": "../" + TWO[1]}, "was not understood"),
        ({"a": "gone.safetensors"}, "none of the 1 shards"),
    ],
)
def test_an_index_that_points_elsewhere_is_refused(root, table, why):
    shards(root, {"a": torch.ones(2)}, {"b": torch.zeros(3)}, index=table)
    found = chosen(root)
    assert found.plans == () and why in found.problems[0].detail


def test_a_series_without_an_index_is_taken(root):
    shards(root, {"a": torch.ones(2)}, {"b": torch.zeros(3)}, index=False)
    assert len(chosen(root).plans) == 2


def test_a_missing_shard_or_a_tensor_in_two_is_not_convertible(root):
    shards(root, {"a": torch.ones(2)}, total=2)
    assert "complete series" in chosen(root).problems[0].detail
    shards(root, {"a": torch.ones(2)}, {"a": torch.zeros(2)}, index=False)
    (root / "model.safetensors.index.json").unlink()
    assert "'a'" in chosen(root).problems[0].detail
    write_weights(root / "model.safetensors")
    assert "both" in chosen(root).problems[0].detail


def test_sentence_transformers_modules_belong_to_the_model(root, tmp_path):
    write_weights(root / "model.safetensors")
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    (root / "modules.json").write_text(json.dumps(modules))
    (root / "1_Pooling").mkdir()
    (root / "1_Pooling/config.json").write_text("{}")
    write_weights(root / "2_Dense/pytorch_model.bin", weight=torch.ones(4, 4))
    (root / "2_Dense/config.json").write_text("{}")
    (root / "other").mkdir()
    (root / "other/config.json").write_text("{}")
    found = chosen(root)
    assert [plan.target for plan in found.plans] == ["model.safetensors", "2_Dense/model.safetensors"]
    assert set(found.carried) == {
        *("config.json", "modules.json", "1_Pooling/config.json", "2_Dense/config.json")
    }
    stage(snapshot_of(root), found, tmp_path / "staged")
    assert load_file(tmp_path / "staged/2_Dense/model.safetensors")["weight"].shape == (4, 4)


def test_module_folders_count_only_with_modules_json(root):
    write_weights(root / "model.safetensors")
    (root / "1_Pooling").mkdir()
    (root / "1_Pooling/config.json").write_text("{}")
    assert chosen(root).carried == ("config.json",)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"t": torch.ones(3, dtype=torch.complex128)}, "ComplexDouble"),
        ({"t": torch.ones(3, 3).to_sparse()}, "sparse"),
        ({"t": torch.ones(1).expand(10_000)}, "repeats elements"),
    ],
)
def test_tensors_that_cannot_be_copied_are_named(root, state, why):
    torch.save(state, root / "pytorch_model.bin")
    found = chosen(root)
    assert found.plans == ()
    assert found.problems[0].code == "not-convertible"
    assert why in found.problems[0].detail
    assert "t" in found.problems[0].detail


def test_weights_of_another_framework_in_safetensors_are_not_relabelled(root):
    save_file({"w": torch.ones(2)}, root / "model.safetensors", {"format": "mlx"})
    assert "mlx" in chosen(root).problems[0].detail


@pytest.mark.parametrize("legacy", [False, True])
def test_views_of_every_kind_are_staged_as_torch_loads_them(root, tmp_path, legacy):
    base = torch.arange(24.0).reshape(4, 6)
    state = {"t": base.t(), "part": base[1:3, 2:5], "every": base[:, ::2], "again": base, "row": base[2]}
    state |= {"wide": torch.ones(1, 3).expand(4, 3), "none": torch.zeros(0, 2), "scalar": torch.tensor(3)}
    path = root / "pytorch_model.bin"
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    stage(snapshot_of(root), chosen(root, TORCH), tmp_path / "staged")
    loaded, oracle = load_file(tmp_path / "staged/model.safetensors"), torch.load(path, weights_only=True)
    assert loaded.keys() == oracle.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in oracle.items())


def test_strides_are_stated_in_the_plan(root):
    torch.save({"t": torch.arange(12.0).reshape(3, 4).t()[1:]}, root / "pytorch_model.bin")
    found = chosen(root)
    assert [tensor.stride for tensor in found.plans[0].tensors] == [(1, 4)]


def test_a_legacy_checkpoint_converts_where_the_policy_takes_it(root, tmp_path):
    tied = torch.arange(6.0)
    state = {"w": tied, "again": tied, "part": tied[2:4], "half": torch.ones(3, dtype=torch.float16)}
    torch.save(state, root / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    zip_only = POLICY.model_copy(update={"weight_preference": (FileFormat.TORCH_ZIP,)})
    assert "torch-legacy, not torch-zip" in chosen(root, zip_only).problems[0].detail
    stage(snapshot_of(root), chosen(root, TORCH), tmp_path / "staged")
    loaded = load_file(tmp_path / "staged/model.safetensors")
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_an_adapter_alone_is_not_convertible(root):
    write_weights(root / "adapter_model.safetensors")
    assert [problem.code for problem in chosen(root).problems] == ["not-convertible"]


def test_nothing_and_zero_tensors_are_no_weights(root):
    assert [problem.code for problem in chosen(root).problems] == ["no-weights"]
    save_file({}, root / "model.safetensors")
    assert {problem.code for problem in chosen(root).problems} <= {"no-weights", "not-convertible"}
    assert chosen(root).plans == ()


def test_a_bare_file_is_judged_whatever_its_name(tmp_path):
    folder = tmp_path / "bare"
    folder.mkdir()
    write_weights(folder / "epoch_7.pt")
    found = whole_file(facts_of(folder), POLICY)
    assert [plan.source for plan in found.plans] == ["epoch_7.pt"]
    (folder / "epoch_7.pt").unlink()
    (folder / "notes.txt").write_text("x\n")
    assert [problem.code for problem in whole_file(facts_of(folder), POLICY).problems] == ["no-weights"]
