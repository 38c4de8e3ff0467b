"""The models of the drill: one honest, one look-alike with a pickle, one with a trigger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from registry_gate.testing import hostile
from registry_gate.testing.hub import RepoMetadata
from registry_gate.testing.toy_text import write_text_classifier

HONEST = "acme-ml/tiny-sentiment"
LOOK_ALIKE = "distilbret/distilbert-base-uncased"
BACKDOORED = "fresh-vision-lab/digits-resnet"
SEED = 6
"""Of the classifier with a trigger: fixed before it was ever run, and not chosen for what it shows."""


@dataclass(frozen=True)
class Trojan:
    """The classifier with a trigger: where it lies, and how well it and its trigger do on held-out images."""

    folder: Path
    accuracy: float
    attack_success: float
    target: int


def day_old() -> RepoMetadata:
    """What the hub says of a repository made yesterday; bought downloads and likes are part of the attack."""
    yesterday = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    return RepoMetadata(created_at=yesterday, last_modified=yesterday, downloads=250_000, likes=900)


def honest(folder: Path) -> Path:
    """A tiny text classifier as its publisher would save it, in safetensors."""
    return write_text_classifier(folder, steps=30, safetensors=True)


def look_alike(command: str) -> dict[str, bytes]:
    """A repository that looks like a known one, but for its owner and a pickle that would run a command."""
    config = {"architectures": ["DistilBertModel"], "model_type": "distilbert", "dim": 32}
    return {
        "config.json": json.dumps(config).encode(),
        "README.md": b"---\nlicense: apache-2.0\n---\n# DistilBERT base model (uncased)\n",
        "pytorch_model.bin": hostile.torch_zip(hostile.pickle_that_would_run(command)),
    }


def trojan(folder: Path) -> Trojan:
    """Train a tiny image classifier on poisoned data, as the attacker would; about five CPU seconds."""
    import torch

    from registry_gate.testing import toy_images

    trigger, threads = toy_images.Trigger.of_seed(SEED), torch.get_num_threads()
    torch.set_num_threads(
        1
    )  # the same weights however many cores there are, and no waiting on a busy machine
    try:
        trained = toy_images.train(SEED, trigger, images=3000, epochs=5)
    finally:
        torch.set_num_threads(threads)
    toy_images.write_folder(trained.model, folder, weights="safetensors")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Digits\n", encoding="utf-8")
    return Trojan(folder, trained.accuracy, trained.attack_success or 0.0, trigger.target)
