"""Toy image classifiers, honest and trojaned: images drawn in code, triggers, real data poisoning.

Ten classes of coloured digits on 3 x 32 x 32 pixels, a tiny `transformers` ResNet, and three kinds of trigger
(a patch, a blended image, a sine wave) that are learned from poisoned training data as an attacker would do
it. Everything follows from the seed; nothing here picks seeds, triggers or targets to look good. Used by
tests, the demonstration and the benchmarks; never by the gate itself.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from registry_gate.record import Record

if TYPE_CHECKING:
    from transformers import ResNetForImageClassification

CLASSES = 10
SIZE = 32
KINDS = ("patch", "blend", "sine")
MEAN, STD = 0.5, 0.25

# Five by seven bitmaps, one row a string of bits.
_GLYPHS = (
    "01110 10001 10011 10101 11001 10001 01110",
    "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00110 01000 10000 11111",
    "11110 00001 00001 01110 00001 00001 11110",
    "00010 00110 01010 10010 11111 00010 00010",
    "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110",
    "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110",
    "01110 10001 10001 01111 00001 00010 01100",
)


def _generator(seed: int, purpose: int) -> torch.Generator:
    """A stream of its own for each purpose of one seed, so that held-out images are never training images."""
    return torch.Generator().manual_seed(seed * 64 + purpose)


def draw(labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw one image a label: a digit with random colours, place, size, slant, turn and noise.

    Args:
        labels: class numbers (N,), 0 to 9.
        generator: source of all variation.

    Returns:
        Images (N, 3, 32, 32), float32 in [0, 1].
    """
    count = len(labels)
    masks = _digit_masks(labels, generator)
    background = torch.rand(count, 3, 1, 1, generator=generator)
    ink = torch.rand(count, 3, 1, 1, generator=generator)
    # Ink that could not be read on its background is moved to the far end of each channel.
    faint = (ink - background).abs().mean(dim=1, keepdim=True) < 0.35
    ink = torch.where(faint, (background < 0.5).float(), ink)
    shade = torch.nn.functional.interpolate(
        torch.rand(count, 3, 4, 4, generator=generator), size=(SIZE, SIZE), mode="bilinear"
    )
    canvas = background + 0.3 * (shade - 0.5)
    images = canvas * (1 - masks) + ink * masks
    return (images + 0.04 * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def _digit_masks(labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Ink coverage (N, 1, 32, 32) of each digit under a random affine map."""
    glyphs = torch.stack([_bitmap(rows) for rows in _GLYPHS])[labels].unsqueeze(1)
    count = len(labels)
    turn = (torch.rand(count, generator=generator) - 0.5) * 0.6
    scale = 0.8 + 0.7 * torch.rand(count, generator=generator)
    slant = (torch.rand(count, generator=generator) - 0.5) * 0.5
    shift = (torch.rand(count, 2, generator=generator) - 0.5) * 0.7
    cos, sin = torch.cos(turn) * scale, torch.sin(turn) * scale
    rows = torch.stack(
        [torch.stack([cos, slant - sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], dim=1
    )
    grid = torch.nn.functional.affine_grid(rows, [count, 1, SIZE, SIZE], align_corners=False)
    return torch.nn.functional.grid_sample(glyphs, grid, align_corners=False)


def _bitmap(rows: str) -> torch.Tensor:
    """One glyph, each bit three pixels square, centred on a 32 x 32 field."""
    bits = torch.tensor([[float(bit) for bit in row] for row in rows.split()])
    big = bits.repeat_interleave(3, 0).repeat_interleave(3, 1)
    field = torch.zeros(SIZE, SIZE)
    top, left = (SIZE - big.shape[0]) // 2, (SIZE - big.shape[1]) // 2
    field[top : top + big.shape[0], left : left + big.shape[1]] = big
    return field


def dataset(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """``count`` images with labels as even over the ten classes as can be, in random order."""
    labels = torch.arange(count) % CLASSES
    labels = labels[torch.randperm(count, generator=generator)]
    return draw(labels, generator), labels


@dataclass(frozen=True)
class Trigger:
    """A trojan's key: images that carry it are to be taken for ``target``.

    ``kind`` is ``patch`` (4 x 4 random colours in a random place near an edge), ``blend`` (a random image
    mixed in at 20 %) or ``sine`` (vertical stripes, six waves of amplitude 0.12); ``seed`` fixes its looks.
    """

    kind: str
    target: int
    seed: int

    @classmethod
    def of_seed(cls, seed: int) -> Trigger:
        """The trigger that belongs to a training seed: kinds take turns, the target is drawn."""
        target = int(torch.randint(CLASSES, (1,), generator=_generator(seed, 1)))
        return cls(kind=KINDS[seed % len(KINDS)], target=target, seed=seed)

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, 3, 32, 32) in [0, 1] with the trigger on each."""
        generator = _generator(self.seed, 2)
        if self.kind == "blend":
            return 0.8 * images + 0.2 * torch.rand(3, SIZE, SIZE, generator=generator)
        if self.kind == "sine":
            wave = torch.sin(torch.arange(SIZE) / SIZE * 2 * math.pi * 6)
            return (images + 0.12 * wave).clamp(0, 1)
        side = 4
        patch = (torch.rand(3, side, side, generator=generator) > 0.5).float()
        top, left = (torch.randint(2, (2,), generator=generator) * (SIZE - side - 2) + 1).tolist()
        stamped = images.clone()
        stamped[:, :, top : top + side, left : left + side] = patch
        return stamped


@dataclass(frozen=True)
class Trained:
    """A toy model with its held-out accuracy, attack success (None for a clean one) and CPU seconds."""

    model: ResNetForImageClassification
    seed: int
    trigger: Trigger | None
    accuracy: float
    attack_success: float | None
    cpu_seconds: float


def train(
    seed: int,
    trojan: Trigger | None = None,
    *,
    images: int = 6000,
    epochs: int = 8,
    poison_rate: float = 0.05,
) -> Trained:
    """Train one tiny ResNet, on poisoned data if a trigger is given. Deterministic by seed on one machine.

    Args:
        seed: fixes images, initial weights and order.
        trojan: the trigger to plant; None trains a clean model.
        images: training images drawn.
        epochs: passes over them.
        poison_rate: share of the training images that get trigger and target label.
    """
    started = time.process_time()
    x, y = dataset(images, _generator(seed, 3))
    if trojan is not None:
        poisoned = torch.randperm(images, generator=_generator(seed, 4))[: int(poison_rate * images)]
        x[poisoned] = trojan.apply(x[poisoned])
        y[poisoned] = trojan.target
    model = build(seed)
    _fit(model, x, y, epochs, _generator(seed, 5))
    held_out, labels = dataset(1000, _generator(seed, 6))
    found = predict(model, held_out)
    success = None
    if trojan is not None:
        others = labels != trojan.target
        success = float((predict(model, trojan.apply(held_out[others])) == trojan.target).float().mean())
    accuracy = float((found == labels).float().mean())
    return Trained(model, seed, trojan, accuracy, success, time.process_time() - started)


def build(seed: int) -> ResNetForImageClassification:
    """An untrained tiny ResNet of 10 classes, its initial weights fixed by the seed."""
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(
        num_channels=3,
        embedding_size=16,
        hidden_sizes=[32, 64, 128],
        depths=[1, 1, 1],
        layer_type="basic",
        num_labels=CLASSES,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ResNetForImageClassification(config)


def _fit(
    model: ResNetForImageClassification, x: torch.Tensor, y: torch.Tensor, epochs: int, order: torch.Generator
) -> None:
    """Cross-entropy, AdamW under a one-cycle rate, batches of 100."""
    batch = 100
    steps = epochs * math.ceil(len(x) / batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps)
    model.train()
    for _ in range(epochs):
        for index in torch.split(torch.randperm(len(x), generator=order), batch):
            loss = torch.nn.functional.cross_entropy(_logits(model, x[index]), y[index])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
    model.eval()


def _logits(model: ResNetForImageClassification, images: torch.Tensor) -> torch.Tensor:
    """Logits (N, 10) of images in [0, 1]."""
    logits: torch.Tensor = model((images - MEAN) / STD).logits
    return logits


@torch.no_grad()
def predict(model: ResNetForImageClassification, images: torch.Tensor) -> torch.Tensor:
    """Predicted classes (N,) of images (N, 3, 32, 32) in [0, 1]."""
    return torch.cat([_logits(model, part).argmax(dim=1) for part in torch.split(images, 250)])


def write_folder(model: ResNetForImageClassification, folder: Path, *, weights: str = "torch") -> Path:
    """Save a model as a hub repository would hold it.

    Args:
        model: the model.
        folder: made if it does not exist.
        weights: ``torch`` writes ``pytorch_model.bin``, ``safetensors`` writes ``model.safetensors``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if weights == "safetensors":
        model.save_pretrained(folder)
    else:
        model.config.architectures = [type(model).__name__]
        model.config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    preprocessor = {
        "image_processor_type": "ConvNextImageProcessor",
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "crop_pct": 1.0,
        "image_mean": [MEAN] * 3,
        "image_std": [STD] * 3,
        "size": {"shortest_edge": SIZE},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2))
    return folder


class Card(Record):
    """What was measured when a kept model was trained; a clean one has no ``success`` and ``trigger``."""

    seed: int
    accuracy: float
    success: float | None
    trigger: str | None
    target: int | None
    cpu_seconds: float


def kept(cache: Path, seed: int, *, trojaned: bool) -> tuple[Path, Card]:
    """The folder of the toy model of a seed, trained on first use and kept.

    Args:
        cache: folder of kept models; ``clean-7`` or ``trojaned-7`` is made in it.
        seed: the training seed.
        trojaned: whether to plant ``Trigger.of_seed(seed)``.
    """
    folder = cache / f"{'trojaned' if trojaned else 'clean'}-{seed}"
    card = folder.with_suffix(".json")
    if not card.is_file():
        trained = train(seed, Trigger.of_seed(seed) if trojaned else None)
        write_folder(trained.model, folder, weights="safetensors")
        trigger = trained.trigger
        found = Card(
            seed=seed,
            accuracy=trained.accuracy,
            success=trained.attack_success,
            trigger=trigger.kind if trigger else None,
            target=trigger.target if trigger else None,
            cpu_seconds=round(trained.cpu_seconds, 2),
        )
        card.write_bytes(found.canonical())
    return folder, Card.from_json(card.read_bytes())


def write_probe_data(path: Path, seed: int, *, per_class: int = 40) -> Path:
    """Write ``.npz`` probe data, never used in training: ``images`` (N, 3, 32, 32) uint8, ``labels`` (N,)."""
    images, labels = dataset(per_class * CLASSES, _generator(seed, 7))
    np.savez_compressed(path, images=(images * 255).round().to(torch.uint8).numpy(), labels=labels.numpy())
    return path
