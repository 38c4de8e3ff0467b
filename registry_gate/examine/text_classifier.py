"""A staged text classifier as a logits function on token numbers. Runs confined."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from registry_gate.backdoor.text_ladder import TokenLogits
from registry_gate.examine.filled_model import filled_model
from registry_gate.examine.model_structure import LibraryClass
from registry_gate.examine.text_tokenizer import TextTokenizer, read_tokenizer

LONGEST = 19
# Up to this width a second thread costs more than it gives; by size, so that one model computes alike.
_NARROW = 128


@dataclass(frozen=True)
class TextClassifier:
    """A frozen model in evaluation mode, its tokenizer, and what its family is known by.

    ``hidden`` is the width of its word table, ``layers`` the number of its blocks.
    """

    logits: TokenLogits
    tokenizer: TextTokenizer
    classes: int
    model_type: str
    hidden: int
    layers: int
    device: torch.device


def load_text_classifier(
    root: Path, weights: tuple[str, ...], library: LibraryClass, device: torch.device
) -> TextClassifier:
    """Load the staged tensors into the class, all of them, and the tokenizer beside them.

    Args:
        root: the staged folder.
        weights: names of the safetensors files in it.
        library: the class, whose structure was compared before.
        device: where the model runs, in float32.

    Raises:
        NoTokenizer: there is none that can be read.
        ValueError: the tensors do not fill the class exactly, or the model does not answer a text of
            ``LONGEST`` tokens with finite logits.
    """
    model = filled_model(root, weights, library).to(device)
    table = model.get_input_embeddings().weight
    if table.shape[1] <= _NARROW:
        torch.set_num_threads(1)
    tokenizer = read_tokenizer(root, len(table))
    before = torch.tensor(tokenizer.before, dtype=torch.long, device=device)
    after = torch.tensor(tokenizer.after, dtype=torch.long, device=device)

    def logits(rows: torch.Tensor) -> torch.Tensor:
        count = len(rows)
        spoken = (before.expand(count, -1), rows.to(device), after.expand(count, -1))
        ids = torch.cat(spoken, dim=1)
        answer: torch.Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        return answer

    with torch.no_grad():
        answer = logits(tokenizer.vocabulary[:1].expand(2, LONGEST))
    if answer.ndim != 2 or not bool(torch.isfinite(answer).all()):
        raise ValueError(f"the model does not answer a text of {LONGEST} tokens with finite logits")
    config = library.built_from
    layers = getattr(config, "num_hidden_layers", None)
    return TextClassifier(
        logits=logits,
        tokenizer=tokenizer,
        classes=answer.shape[1],
        model_type=str(config.model_type)[:60],
        hidden=int(table.shape[1]),
        layers=layers if isinstance(layers, int) else 0,
        device=device,
    )


@torch.no_grad()
def seconds_a_row(classifier: TextClassifier) -> float:
    """Seconds that one text of ``LONGEST`` tokens takes in a batch."""
    rows = classifier.tokenizer.vocabulary[:1].expand(64, LONGEST)
    tried = []
    for _ in range(3):  # the first pass pays for what libraries set up once
        started = time.perf_counter()
        float(classifier.logits(rows).sum())
        tried.append(time.perf_counter() - started)
    return min(tried) / len(rows)
