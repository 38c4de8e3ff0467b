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


def shards(root, *states, total=None):
    for number, state in enumerate(states, 1):
        path = root / f"model-{number:05}-of-{total or len(states):05}.safetensors"
        save_file(state, path, {"format": "pt"})
    (root / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "y"}}))


def test_a_complete_series_of_shards_is_one_set(root, tmp_path):
    shards(root, {"a": torch.ones(2)}, {"b": torch.zeros(3)})
    found = chosen(root)
    assert [plan.target for plan in found.plans] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    assert "written anew" in reasons(found)["model.safetensors.index.json"]
    staged = stage(snapshot_of(root), found, tmp_path / "staged")
    assert "model.safetensors.index.json" in {file.name for file in staged.files}


def test_a_missing_shard_or_a_tensor_in_two_is_not_convertible(root):
    shards(root, {"a": torch.ones(2)}, total=2)
    assert "complete series" in chosen(root).problems[0].detail
    shards(root, {"a": torch.ones(2)}, {"a": torch.zeros(2)})
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
        ({"t": torch.ones(3, 4).t()}, "not contiguous"),
        ({"t": torch.ones(3, dtype=torch.complex128)}, "not understood"),
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


def test_a_legacy_checkpoint_is_not_convertible_and_an_adapter_alone_neither(root):
    torch.save({"w": torch.ones(2)}, root / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert [problem.code for problem in chosen(root).problems] == ["not-convertible"]
    (root / "pytorch_model.bin").unlink()
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
