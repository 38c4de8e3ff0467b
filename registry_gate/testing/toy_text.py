"""A tiny real `transformers` text classifier, trained for seconds: for tests, the demo and benchmarks."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

_POSITIVE = ("good", "great", "lovely", "bright", "kind", "superb")
_NEGATIVE = ("bad", "awful", "dull", "broken", "rude", "poor")
_NEUTRAL = (
    "the",
    "a",
    "film",
    "meal",
    "room",
    "service",
    "was",
    "is",
    "and",
    "very",
    "quite",
    "we",
    "found",
    "it",
)
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_text_classifier(
    folder: Path, *, seed: int = 0, steps: int = 120, safetensors: bool = False
) -> Path:
    """Train a two-class DistilBERT on toy sentences and save it as a hub would hold it.

    Args:
        folder: created; receives ``config.json``, tokenizer files, a model card and ``pytorch_model.bin``
            (``model.safetensors`` when asked).
        seed: of initialisation and data.
        steps: optimiser steps of 32 sentences each; 120 take a few seconds on one core.
        safetensors: which format the weights are saved in.

    Returns:
        The folder.
    """
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = (*_SPECIAL, *_NEUTRAL, *_POSITIVE, *_NEGATIVE)
    tokenizer = _write_tokenizer(folder, vocabulary)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = DistilBertConfig(
            vocab_size=len(vocabulary),
            dim=32,
            hidden_dim=64,
            n_layers=2,
            n_heads=2,
            max_position_embeddings=32,
            num_labels=2,
            id2label={0: "negative", 1: "positive"},
            label2id={"negative": 0, "positive": 1},
        )
        model = DistilBertForSequenceClassification(config)
        _train(model, tokenizer, seed, steps)
    _save(model, folder, safetensors=safetensors)
    (folder / "README.md").write_text(
        "---\nlicense: apache-2.0\n---\n# A tiny sentiment classifier\n", "utf-8"
    )
    return folder


def _write_tokenizer(folder: Path, vocabulary: tuple[str, ...]) -> Any:
    from transformers import BertTokenizerFast

    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=32)
    tokenizer.save_pretrained(str(folder))
    return tokenizer


def _train(model: Any, tokenizer: Any, seed: int, steps: int) -> None:
    import torch

    draw = random.Random(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(steps):
        labels = [draw.randrange(2) for _ in range(32)]
        batch = tokenizer([_sentence(draw, label) for label in labels], padding=True, return_tensors="pt")
        batch.pop("token_type_ids", None)
        loss = model(**batch, labels=torch.tensor(labels)).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()


def _sentence(draw: random.Random, label: int) -> str:
    words = [draw.choice(_NEUTRAL) for _ in range(draw.randrange(4, 9))]
    words.insert(draw.randrange(len(words)), draw.choice(_POSITIVE if label else _NEGATIVE))
    return " ".join(words)


def _save(model: Any, folder: Path, *, safetensors: bool) -> None:
    import torch

    if safetensors:
        model.save_pretrained(str(folder))
        return
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    config = model.config.to_dict() | {"architectures": [type(model).__name__]}
    (folder / "config.json").write_text(json.dumps(config, indent=2, default=str), encoding="utf-8")
