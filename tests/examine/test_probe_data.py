"""Probe data: folders and .npz files, what is refused, and what the model's preprocessing makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from registry_gate.examine.image_classifier import _normalisation, _size
from registry_gate.examine.probe_data import read_probe_data

SHAPE = (3, 8, 8)
NAMES = {"cat": 0, "dog": 1}


def _npz(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "probe.npz"
    np.savez(path, **arrays)
    return path


def _folder(root: Path, names: tuple[str, ...] = ("cat", "dog"), size: int = 8) -> Path:
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        pixels = np.full((size, size, 3), 100 * number, dtype=np.uint8)
        Image.fromarray(pixels).save(root / name / "a.png")
    return root


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_npz_is_read_in_both_layouts_and_kinds(layout: str, dtype, tmp_path: Path) -> None:
    images = np.full((4, 3, 8, 8), 51, dtype=np.uint8)
    images = images if dtype is np.uint8 else (images / 255).astype(np.float32)
    images = images.transpose(0, 2, 3, 1) if layout == "NHWC" else images
    probe = read_probe_data(_npz(tmp_path, images=images, labels=np.array([0, 1, 1, 0])), SHAPE, 2, NAMES)
    assert probe.images.shape == (4, *SHAPE)
    assert torch.allclose(probe.images, torch.tensor(0.2))
    assert probe.labels.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("names", [("cat", "dog"), ("0", "1")])
def test_folder_is_read_by_class_name_or_number(names: tuple[str, ...], tmp_path: Path) -> None:
    probe = read_probe_data(_folder(tmp_path, names, size=20), SHAPE, 2, NAMES)
    assert probe.images.shape == (2, *SHAPE)
    assert probe.labels.tolist() == [0, 1]
    assert probe.images[1].mean() == pytest.approx(100 / 255, abs=1e-5)


def test_folder_of_unknown_names_is_refused_rather_than_guessed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither a class name"):
        read_probe_data(_folder(tmp_path, ("apple", "pear")), SHAPE, 2, NAMES)


def test_at_most_a_hundred_images_of_a_class_are_kept(tmp_path: Path) -> None:
    images = np.zeros((240, 3, 8, 8), dtype=np.uint8)
    labels = np.array([0] * 230 + [1] * 10)
    probe = read_probe_data(_npz(tmp_path, images=images, labels=labels), SHAPE, 2, NAMES)
    assert torch.bincount(probe.labels).tolist() == [100, 10]


@pytest.mark.parametrize(
    "arrays",
    [
        {"images": np.zeros((2, 3, 8, 8), np.uint8)},
        {"images": np.zeros((2, 3, 8, 8), np.uint8), "labels": np.array([0, 2])},
        {"images": np.zeros((2, 3, 8, 8), np.uint8), "labels": np.array([0, -1])},
        {"images": np.zeros((2, 3, 8, 8), np.uint8), "labels": np.array([0.0, 1.0])},
        {"images": np.zeros((2, 3, 8, 8), np.uint8), "labels": np.array([0])},
        {"images": np.zeros((2, 8, 8), np.uint8), "labels": np.array([0, 1])},
        {"images": np.zeros((2, 4, 8, 8), np.uint8), "labels": np.array([0, 1])},
        {"images": np.full((2, 3, 8, 8), 2.0), "labels": np.array([0, 1])},
        {"images": np.full((2, 3, 8, 8), np.nan), "labels": np.array([0, 1])},
        {"images": np.zeros((2, 3, 8, 8), np.int32), "labels": np.array([0, 1])},
        {"images": np.zeros((0, 3, 8, 8), np.uint8), "labels": np.array([], dtype=int)},
    ],
)
def test_npz_that_does_not_fit_is_refused(arrays, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="probe data"):
        read_probe_data(_npz(tmp_path, **arrays), SHAPE, 2, NAMES)


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Runs:
        def __reduce__(self):
            return (Path.touch, (marker,))

    path = _npz(tmp_path, images=np.array([Runs()], dtype=object), labels=np.array([0]))
    with pytest.raises(ValueError, match=r"allow_pickle=False|cannot be read"):
        read_probe_data(path, SHAPE, 2, NAMES)
    assert not marker.exists()


def test_files_that_are_no_images_or_no_archives_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"not a zip")
    with pytest.raises(ValueError, match="cannot be read"):
        read_probe_data(tmp_path / "x.npz", SHAPE, 2, NAMES)
    folder = _folder(tmp_path / "images")
    (folder / "cat" / "b.png").write_bytes(b"\x89PNG garbage")
    with pytest.raises(ValueError, match="cannot be read"):
        read_probe_data(folder, SHAPE, 2, NAMES)


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no class sub-folders"):
        read_probe_data(tmp_path, SHAPE, 2, NAMES)


@pytest.mark.parametrize(
    ("document", "black", "white"),
    [
        ({}, 0.0, 1.0),
        ({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}, -2.0, 2.0),
        ({"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "do_normalize": False}, 0.0, 1.0),
        ({"rescale_factor": 1 / 255}, 0.0, 1.0),
        ({"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3}, -1.0, 1.0),
        ({"do_rescale": False}, 0.0, 255.0),
    ],
)
def test_preprocessing_is_folded_into_pixels(document, black: float, white: float) -> None:
    scale, mean, std = _normalisation(document, 3)
    pixels = torch.stack([torch.zeros(3, 1, 1), torch.ones(3, 1, 1)])
    answer = (pixels * scale - mean) / std
    assert torch.allclose(answer[0], torch.tensor(black), atol=1e-5)
    assert torch.allclose(answer[1], torch.tensor(white), atol=1e-4)


@pytest.mark.parametrize(
    "document",
    [
        {"image_mean": [0.5], "image_std": [0.5]},
        {"image_mean": [0.5] * 3, "image_std": [0.0] * 3},
        {"image_mean": [float("nan")] * 3, "image_std": [1.0] * 3},
        {"rescale_factor": 0},
    ],
)
def test_implausible_preprocessing_is_refused(document) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        _normalisation(document, 3)


@pytest.mark.parametrize(
    ("configured", "preprocessor", "size"),
    [
        (32, {}, (32, 32)),
        ([32, 48], {}, (32, 48)),
        (None, {"size": {"shortest_edge": 64}}, (64, 64)),
        (None, {"size": {"height": 20, "width": 30}}, (20, 30)),
        (None, {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}, (224, 224)),
        (None, {"size": 40}, (40, 40)),
        (None, {}, (224, 224)),
    ],
)
def test_image_size_is_the_configurations_then_the_preprocessors(configured, preprocessor, size) -> None:
    assert _size(configured, preprocessor) == size


@pytest.mark.parametrize("configured", [4, 10**6, -1])
def test_absurd_image_sizes_are_refused(configured: int) -> None:
    with pytest.raises(ValueError, match="height"):
        _size(configured, {})
