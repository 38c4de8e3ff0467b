"""The candidate's own tokenizer, read by the `tokenizers` library: tokens, and special tokens around a text.

Runs confined: a hostile ``tokenizer.json`` can at most waste its own child. Nothing but the library's classes
is built from it, and no code of the candidate's is looked for. Which tokens are tried depends on nothing that
the tokenizer says of them: a trigger marked as special, named like a placeholder, or decoded to nothing is
still a token that a text can be made to hold.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer, Tokenizer
from tokenizers.processors import BertProcessing, RobertaProcessing

_MAX_FILE = 64 << 20
_MAX_TOKENS = 1_000_000
_PROBE = "a"
_FRAMES = (("[CLS]", "[SEP]"), ("<s>", "</s>"))


class NoTokenizer(Exception):
    """There is none that can be read; the message says why."""


@dataclass(frozen=True, eq=False)
class TextTokenizer:
    """A tokenizer and what the tests need of it.

    ``vocabulary`` (V,) are the tokens that the model has a vector for, without those around a text: the
    special tokens ``before`` and ``after`` it.
    """

    tokenizer: Tokenizer
    vocabulary: torch.Tensor
    before: tuple[int, ...]
    after: tuple[int, ...]
    kind: str

    def text(self, tokens: tuple[int, ...]) -> str:
        """Tokens as a person would read them: what they decode to, else their names."""
        said: str = self.tokenizer.decode(list(tokens), skip_special_tokens=False)
        return said.strip() or " ".join(str(self.tokenizer.id_to_token(token)) for token in tokens)

    def typed(self, tokens: tuple[int, ...]) -> bool:
        """Whether the text of these tokens is read as these tokens again, so that anyone can type them."""
        try:
            read = self.tokenizer.encode(self.text(tokens), add_special_tokens=False).ids
        except Exception:
            # The library raises bare Exceptions for text it has no token for.
            return False
        return tuple(read) == tokens


def read_tokenizer(root: Path, rows: int) -> TextTokenizer:
    """Read the tokenizer of a staged folder.

    Args:
        root: the folder: ``tokenizer.json``, else ``vocab.txt`` (WordPiece), else ``vocab.json`` and
            ``merges.txt`` (byte-level BPE).
        rows: of the model's word table; tokens beyond it cannot be read by the model and are left out.

    Raises:
        NoTokenizer: no such file, or the library cannot read it.
    """
    tokenizer, kind = _from_files(root)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    names = tokenizer.get_vocab(with_added_tokens=True)
    if len(names) > _MAX_TOKENS:
        raise NoTokenizer(f"the tokenizer has more than {_MAX_TOKENS} tokens")
    before, after = _frame(tokenizer, names, rows)
    held = sorted({number for number in names.values() if number < rows} - {*before, *after})
    return TextTokenizer(tokenizer, torch.tensor(held, dtype=torch.long), before, after, kind)


def _from_files(root: Path) -> tuple[Tokenizer, str]:
    present = {
        name
        for name in ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt")
        if (root / name).is_file()
    }
    for name in sorted(present):
        if (root / name).stat().st_size > _MAX_FILE:
            raise NoTokenizer(f"{name} is larger than {_MAX_FILE} bytes")
    try:
        if "tokenizer.json" in present:
            tokenizer = Tokenizer.from_file(str(root / "tokenizer.json"))
            return tokenizer, type(tokenizer.model).__name__
        if "vocab.txt" in present:
            return _word_piece(root), "WordPiece"
        if {"vocab.json", "merges.txt"} <= present:
            return _byte_level(root), "BPE"
    except MemoryError:
        raise
    except Exception as error:
        # The library raises bare Exceptions for anything it cannot parse.
        raise NoTokenizer(f"the tokenizer cannot be read: {str(error)[:200]!r}") from error
    raise NoTokenizer("there is no tokenizer.json, no vocab.txt and no vocab.json with merges.txt")


def _word_piece(root: Path) -> Tokenizer:
    settings = root / "tokenizer_config.json"
    declared = json.loads(settings.read_bytes()) if settings.is_file() else {}
    lowered = bool(declared.get("do_lower_case", True)) if isinstance(declared, dict) else True
    built = BertWordPieceTokenizer.from_file(str(root / "vocab.txt"), lowercase=lowered)
    return _framed(built, BertProcessing, ("[SEP]", "[CLS]"))


def _byte_level(root: Path) -> Tokenizer:
    built = ByteLevelBPETokenizer.from_file(str(root / "vocab.json"), str(root / "merges.txt"))
    return _framed(built, RobertaProcessing, ("</s>", "<s>"))


def _framed(
    built: BertWordPieceTokenizer | ByteLevelBPETokenizer,
    processor: type[BertProcessing] | type[RobertaProcessing],
    names: tuple[str, str],
) -> Tokenizer:
    """The tokenizer itself, with the special tokens of its family known as such and put around a text."""
    tokenizer: Tokenizer = built._tokenizer
    end, start = (tokenizer.token_to_id(name) for name in names)
    if end is not None and start is not None:
        known = [*names, *(n for n in ("[PAD]", "[UNK]", "[MASK]", "<pad>", "<unk>", "<mask>"))]
        tokenizer.add_special_tokens([name for name in known if tokenizer.token_to_id(name) is not None])
        tokenizer.post_processor = processor((names[0], end), (names[1], start))
    return tokenizer


def _frame(tokenizer: Tokenizer, names: dict[str, int], rows: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The special tokens that the tokenizer puts before and after a text; else those of its family."""
    try:
        encoded = tokenizer.encode(_PROBE)
    except Exception as error:
        # The library raises bare Exceptions for text it has no token for.
        raise NoTokenizer(f"the tokenizer cannot read a text: {str(error)[:200]!r}") from error
    marks = encoded.special_tokens_mask
    inner = [place for place, mark in enumerate(marks) if not mark]
    if inner and len(inner) < len(marks):
        before, after = encoded.ids[: inner[0]], encoded.ids[inner[-1] + 1 :]
    else:
        before, after = next(
            (([names[start]], [names[end]]) for start, end in _FRAMES if start in names and end in names),
            ([], []),
        )
    if any(number >= rows for number in (*before, *after)):
        raise NoTokenizer("the model has no vector for the tokenizer's special tokens")
    return tuple(before), tuple(after)
