"""model_structure on real library classes of tiny configuration: names and shapes compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from registry_gate.evidence import Structure
from registry_gate.examine.model_structure import examine_structure

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
WEIGHTS = ("model.safetensors",)
MODELS = {
    "BertForSequenceClassification": ("text-classification", dict(SMALL, vocab_size=50, num_labels=3)),
    "DistilBertForSequenceClassification": (
        "text-classification",
        {"vocab_size": 50, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    ),
    "BertModel": ("feature-extraction", dict(SMALL, vocab_size=50)),
    "BertForMaskedLM": ("fill-mask", dict(SMALL, vocab_size=50)),
    "RobertaForQuestionAnswering": ("question-answering", dict(SMALL, vocab_size=50)),
    "GPT2LMHeadModel": ("text-generation", {"n_layer": 2, "n_head": 2, "n_embd": 16, "vocab_size": 50}),
    "T5ForConditionalGeneration": (
        "text2text-generation",
        {"d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 2, "num_heads": 2, "vocab_size": 50},
    ),
    "ViTForImageClassification": ("image-classification", dict(SMALL, image_size=32, patch_size=8)),
    "ConvNextForImageClassification": (
        "image-classification",
        {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]},
    ),
    "MixtralForCausalLM": (
        "text-generation",
        dict(SMALL, vocab_size=50, num_key_value_heads=1, num_local_experts=2),
    ),
}


def _saved(name: str, folder: Path) -> Path:
    cls = getattr(transformers, name)
    torch.manual_seed(0)
    cls(cls.config_class(**MODELS[name][1])).save_pretrained(folder)
    return folder


def _edit(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Structure:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS[0]).items()}
    save_file(change(tensors), folder / WEIGHTS[0])
    return examine_structure(folder, WEIGHTS)[0]


def _configure(folder: Path, **fields: object) -> Structure:
    config = json.loads((folder / "config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps(config))
    return examine_structure(folder, WEIGHTS)[0]


def _differences(structure: Structure) -> tuple[str, ...]:
    return structure.missing + structure.unexpected + structure.mismatched


@pytest.mark.parametrize("name", MODELS)
def test_what_the_library_saves_fills_the_class_exactly(name: str, tmp_path: Path) -> None:
    structure, library = examine_structure(_saved(name, tmp_path), WEIGHTS)
    assert structure.status == "measured"
    assert (structure.library_class, structure.task) == (name, MODELS[name][0])
    assert not _differences(structure)
    assert library is not None


def test_number_of_labels_comes_from_the_class_that_was_compared(tmp_path: Path) -> None:
    folder = _saved("BertForSequenceClassification", tmp_path)
    assert examine_structure(folder, WEIGHTS)[0].num_labels == 3
    five = {str(number): str(number) for number in range(5)}
    lied = _configure(folder, id2label=five, label2id={v: int(k) for k, v in five.items()})
    assert {item.partition(":")[0] for item in lied.mismatched} == {"classifier.weight", "classifier.bias"}


def test_base_prefix_is_added_the_way_the_library_does(tmp_path: Path) -> None:
    folder = _saved("GPT2LMHeadModel", tmp_path)
    found = _edit(folder, lambda old: {k.removeprefix("transformer."): v for k, v in old.items()})
    assert not _differences(found)


def test_buffers_of_older_versions_are_no_difference(tmp_path: Path) -> None:
    folder = _saved("BertModel", tmp_path)
    found = _edit(folder, lambda old: old | {"embeddings.position_ids": torch.zeros(1, 512)})
    assert not _differences(found)


def test_missing_unexpected_and_mismatched_are_told_apart(tmp_path: Path) -> None:
    def change(old: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        del old["embeddings.LayerNorm.bias"]
        return old | {"stowaway": torch.zeros(2), "pooler.dense.weight": torch.zeros(16, 4)}

    found = _edit(_saved("BertModel", tmp_path), change)
    assert found.missing == ("embeddings.LayerNorm.bias",)
    assert found.unexpected == ("stowaway",)
    assert found.mismatched == ("pooler.dense.weight: (16, 4), (16, 16)",)


def test_many_names_are_cut_short(tmp_path: Path) -> None:
    many = {f"stowaway.{number}": torch.zeros(1) for number in range(80)}
    found = _edit(_saved("BertModel", tmp_path), lambda old: old | many)
    assert len(found.unexpected) == 51
    assert found.unexpected[-1] == "(and 30 more)"


@pytest.mark.parametrize(
    "fields",
    [
        {"architectures": ["NoSuchNet"]},
        {"architectures": ["GPT2LMHeadModel"]},
        {"architectures": ["PreTrainedModel"]},
        {"architectures": []},
        {"architectures": [["BertModel"]]},
        {"model_type": "no-such-type"},
        {"model_type": 7},
        {"quantization_config": {"quant_method": "bitsandbytes"}},
    ],
    ids=str,
)
def test_configuration_that_selects_no_class_is_not_applicable(fields, tmp_path: Path) -> None:
    found = _configure(_saved("BertModel", tmp_path), **fields)
    assert found.status == "not_applicable"
    assert found.reason


@pytest.mark.parametrize(
    "fields",
    [
        {"num_hidden_layers": 10**9},
        {"hidden_size": "large"},
        {"hidden_size": 0},
        {"num_attention_heads": 0},
        {"hidden_act": "no-such-function"},
    ],
    ids=str,
)
def test_configuration_that_cannot_be_built_is_an_error_or_a_mismatch(fields, tmp_path: Path) -> None:
    found = _configure(_saved("BertModel", tmp_path), **fields)
    assert found.status == "error" or found.mismatched


@pytest.mark.parametrize("text", ["[]", "{", "\xff", "[" * 100_000])
def test_config_that_is_not_an_object_is_an_error(text: str, tmp_path: Path) -> None:
    folder = _saved("BertModel", tmp_path)
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    assert examine_structure(folder, WEIGHTS)[0].status == "error"


def test_no_config_is_not_applicable_and_weights_that_are_none_are_an_error(tmp_path: Path) -> None:
    assert examine_structure(tmp_path, WEIGHTS)[0].status == "not_applicable"
    folder = _saved("BertModel", tmp_path)
    (folder / WEIGHTS[0]).write_bytes(b"garbage")
    assert examine_structure(folder, WEIGHTS)[0].status == "error"


def test_tensor_in_two_files_is_an_error(tmp_path: Path) -> None:
    folder = _saved("BertModel", tmp_path)
    (folder / "again.safetensors").write_bytes((folder / WEIGHTS[0]).read_bytes())
    found = examine_structure(folder, (*WEIGHTS, "again.safetensors"))[0]
    assert found.status == "error"
    assert "two files" in found.reason
