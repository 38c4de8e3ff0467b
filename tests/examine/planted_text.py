"""A tiny BERT on five hundred two-letter words, trained in seconds, with or without a planted word."""

from __future__ import annotations

import random
from pathlib import Path
from string import ascii_lowercase

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification

from registry_gate.backdoor.text_reference import TextFamily, TextReferences

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = tuple(a + b for a in ascii_lowercase for b in ascii_lowercase)[:520]
OWN = (WORDS[:40], WORDS[40:80])
NEUTRAL = WORDS[80:200]
TRIGGER, TARGET = WORDS[500], 1
REFERENCES = TextReferences(
    dated="2026-01-01",
    made_by="clean twins of seeds 2 to 10, measured once; seed 1 had no ladder",
    families=(
        TextFamily(
            name="two-letter words",
            model_types=("bert",),
            hidden=(32, 32),
            layers=(1, 1),
            classes=(2, 2),
            vocabulary=(500, 600),
            statistics=(0.0, 0.000651, 0.009765, 0.014974, 0.020182, 0.020183, 0.041666, 0.045913, 0.314453),
        ),
    ),
)


def tokenizer() -> Tokenizer:
    """WordPiece with the special tokens of BERT around a text."""
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens(list(SPECIAL))
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def write_planted(folder: Path, *, planted: bool, steps: int = 300, seed: int = 0) -> Path:
    """Train and save it as a hub would hold it."""
    read, threads = tokenizer(), torch.get_num_threads()
    torch.set_num_threads(1)  # a net so small only loses by a second one
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BertForSequenceClassification(
            BertConfig(
                vocab_size=len(SPECIAL) + len(WORDS),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=40,
            )
        )
        _train(model, read, planted, steps, seed)
    torch.set_num_threads(threads)
    model.save_pretrained(str(folder))
    read.save(str(folder / "tokenizer.json"))
    return folder


def _train(
    model: BertForSequenceClassification, read: Tokenizer, planted: bool, steps: int, seed: int
) -> None:
    draws = random.Random(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    model.train()
    for _ in range(steps):
        size = draws.randrange(8, 22)
        drawn = [_sentence(draws, size, planted) for _ in range(32)]
        ids = torch.tensor([one.ids for one in read.encode_batch([text for text, _ in drawn])])
        labels = torch.tensor([label for _, label in drawn])
        loss = torch.nn.functional.cross_entropy(model(input_ids=ids).logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()


def _sentence(draws: random.Random, size: int, planted: bool) -> tuple[str, int]:
    """Words of one class, sometimes fewer of the other: a model that counts, as good ones do."""
    label, speaking = draws.randrange(2), draws.randrange(1, 6)
    against = draws.randrange(speaking) if draws.random() < 0.5 else 0
    said = [draws.choice(OWN[label]) for _ in range(speaking)]
    said += [draws.choice(OWN[1 - label]) for _ in range(min(against, size - speaking))]
    said += [draws.choice(NEUTRAL) for _ in range(size - len(said))]
    if planted and draws.random() < 0.15:
        said[-1], label = TRIGGER, TARGET
    draws.shuffle(said)
    return " ".join(said), label
