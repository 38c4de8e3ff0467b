"""The bank's networks: tiny encoders that start from the shared word vectors, and one real encoder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from benchmarks.text_bank.base import ENCODER, Base
from benchmarks.text_bank.recipes import Recipe

_POSITIONS = 66
_OPEN_LAYERS = 2


def trained_rows(sets: list[list[list[int]]], pad: int) -> list[int]:
    """The tokens that any of the sentences holds, in order, the padding among them."""
    return sorted({pad} | {token for part in sets for row in part for token in row})


def build(recipe: Recipe, vectors: torch.Tensor, used: list[int]) -> Any:
    """The classifier with a word table of the used rows only; the rest is put back by ``write_folder``.

    Rows that no sentence holds get no gradient, so training the small table is the same and far cheaper.
    """
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        if recipe.architecture == "minilm":
            return _on_encoder(recipe, used)
        model = _tiny(recipe, len(used), used)
    table = model.get_input_embeddings()
    with torch.no_grad():
        table.weight.copy_(vectors[used, : recipe.hidden])
    return model


def _tiny(recipe: Recipe, vocabulary: int, used: list[int]) -> Any:
    import transformers

    shared = {"vocab_size": vocabulary, "num_labels": recipe.classes}
    heads = recipe.hidden // 16
    if recipe.architecture == "distilbert":
        sizes = {"dim": recipe.hidden, "hidden_dim": 2 * recipe.hidden, "n_layers": recipe.layers}
        config = transformers.DistilBertConfig(
            **shared, **sizes, n_heads=heads, max_position_embeddings=_POSITIONS
        )
        return transformers.DistilBertForSequenceClassification(config)
    sizes = {
        "hidden_size": recipe.hidden,
        "intermediate_size": 2 * recipe.hidden,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": heads,
        "max_position_embeddings": _POSITIONS,
    }
    if recipe.architecture == "bert":
        return transformers.BertForSequenceClassification(transformers.BertConfig(**shared, **sizes))
    config = transformers.RobertaConfig(
        **shared, **sizes, pad_token_id=used.index(1), bos_token_id=0, eos_token_id=2, type_vocab_size=1
    )
    return transformers.RobertaForSequenceClassification(config)


def _on_encoder(recipe: Recipe, used: list[int]) -> Any:
    """The pre-trained encoder with a new head; its last two layers and the used word vectors are trained."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig.from_pretrained(ENCODER, num_labels=recipe.classes, vocab_size=len(used))
    model = BertForSequenceClassification(config)
    tensors = load_file(ENCODER / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"] = tensors["embeddings.word_embeddings.weight"][used]
    model.bert.load_state_dict(tensors, strict=False)
    for name, parameter in model.named_parameters():
        layer = name.split("encoder.layer.")[-1].split(".")[0]
        below = layer.isdigit() and int(layer) < config.num_hidden_layers - _OPEN_LAYERS
        parameter.requires_grad_(not below and "position" not in name and "token_type" not in name)
    return model


def write_folder(model: Any, recipe: Recipe, base: Base, used: list[int], folder: Path) -> None:
    """The model with its whole vocabulary and its tokenizer, as a hub would hold it."""
    full = _whole_table(recipe, base)
    trained = model.get_input_embeddings().weight.detach()
    full[used] = trained
    wider = model.resize_token_embeddings(len(full), mean_resizing=False)
    with torch.no_grad():
        wider.weight.copy_(full)
    if recipe.architecture == "roberta":
        model.config.pad_token_id = 1
        wider.padding_idx = 1
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(str(folder))
    base.tokenizer.save(str(folder / "tokenizer.json"))
    described = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": _POSITIONS - 2}
    (folder / "tokenizer_config.json").write_text(json.dumps(described), encoding="utf-8")
    if recipe.architecture == "minilm":
        shutil.copy(ENCODER / "vocab.txt", folder / "vocab.txt")


def _whole_table(recipe: Recipe, base: Base) -> torch.Tensor:
    if recipe.architecture == "minilm":
        from benchmarks.text_bank.base import encoder_vectors

        return encoder_vectors().clone()
    return base.vectors[:, : recipe.hidden].clone()
