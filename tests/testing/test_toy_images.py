"""The toy models: drawn, poisoned and trained by seed alone, and honest about what they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from registry_gate.testing import toy_images
from registry_gate.testing.toy_images import KINDS, Trigger


def _images(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    return toy_images.dataset(count, torch.Generator().manual_seed(seed))


def test_images_follow_from_the_seed_and_fill_the_box() -> None:
    first, labels = _images(50, 1)
    again, _ = _images(50, 1)
    other, _ = _images(50, 2)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (50, 3, 32, 32)
    assert 0 <= float(first.min()) < 0.1 < 0.9 < float(first.max()) <= 1
    assert torch.bincount(labels).tolist() == [5] * 10


@pytest.mark.parametrize("kind", KINDS)
def test_trigger_changes_images_the_same_way_each_time_and_stays_in_the_box(kind: str) -> None:
    images, _ = _images(10, 1)
    trigger = Trigger(kind=kind, target=3, seed=8)
    stamped = trigger.apply(images)
    assert torch.equal(stamped, trigger.apply(images))
    assert bool(((stamped - images).abs().flatten(1).amax(dim=1) > 0.05).all())
    assert 0 <= float(stamped.min()) <= float(stamped.max()) <= 1


def test_kinds_take_turns_over_consecutive_seeds() -> None:
    assert [Trigger.of_seed(seed).kind for seed in range(6)] == [*KINDS, *KINDS]
    assert Trigger.of_seed(4) == Trigger.of_seed(4)


def test_training_is_deterministic_and_poisoning_plants_the_trigger() -> None:
    torch.set_num_threads(1)
    trigger = Trigger(kind="patch", target=2, seed=1)
    first = toy_images.train(1, trigger, images=1000, epochs=4, poison_rate=0.2)
    again = toy_images.train(1, trigger, images=1000, epochs=4, poison_rate=0.2)
    assert (first.accuracy, first.attack_success) == (again.accuracy, again.attack_success)
    clean = toy_images.train(1, images=1000, epochs=4)
    images, labels = _images(300, 77)
    stamped = trigger.apply(images[labels != 2])
    hits = float((toy_images.predict(clean.model, stamped) == 2).float().mean())
    assert clean.attack_success is None
    assert first.attack_success is not None
    assert first.attack_success > hits + 0.3


def test_folder_looks_like_a_hub_repository(tmp_path: Path) -> None:
    toy_images.write_folder(toy_images.build(0), tmp_path / "m")
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        "config.json",
        "preprocessor_config.json",
        "pytorch_model.bin",
    ]
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["architectures"] == ["ResNetForImageClassification"]
    tensors = torch.load(tmp_path / "m" / "pytorch_model.bin", weights_only=True)
    assert tensors.keys() == toy_images.build(0).state_dict().keys()


def test_kept_model_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = toy_images.train
    monkeypatch.setattr(toy_images, "train", lambda seed, trojan: small(seed, trojan, images=200, epochs=1))
    folder, card = toy_images.kept(tmp_path, 5, trojaned=True)
    monkeypatch.setattr(toy_images, "train", None)
    assert toy_images.kept(tmp_path, 5, trojaned=True) == (folder, card)
    assert card.trigger == Trigger.of_seed(5).kind
    assert (folder / "model.safetensors").is_file()


def test_probe_data_is_not_what_the_same_seed_trains_on(tmp_path: Path) -> None:
    path = toy_images.write_probe_data(tmp_path / "probe.npz", 3, per_class=4)
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["images"].shape == (40, 3, 32, 32)
        assert np.bincount(arrays["labels"]).tolist() == [4] * 10
        training, _ = toy_images.dataset(40, toy_images._generator(3, 3))
        drawn = arrays["images"].astype(np.float32) / 255
    distances = np.abs(drawn[:, None] - training.numpy()[None]).mean(axis=(2, 3, 4))
    assert distances.min() > 0.02
