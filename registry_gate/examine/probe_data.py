"""Clean labelled images that the caller gives, decoded in the confined child.

A folder with one sub-folder a class (PNG, JPEG, BMP, WebP), a `datasets` directory (Arrow or Parquet, see
``probe_table``), or an ``.npz`` file with ``images`` (N, C, H, W) or (N, H, W, C), uint8 or float in [0, 1],
and ``labels`` (N,). Nothing is unpickled.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from registry_gate.examine import probe_table

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_MAX_FILE = 64 << 20
_MAX_PIXELS = 50_000_000
_MAX_UNPACKED = 2 << 30
_MAX_IMAGES = 20_000
_MAX_PER_CLASS = 100


@dataclass(frozen=True, eq=False)
class ProbeData:
    """Images (N, channels, height, width), float32 in [0, 1], and their class numbers (N,), on the CPU."""

    images: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class NoProbe:
    """Why there is nothing to look at, in words; ``given`` says that data were there and cannot be used.

    Nothing may stand in for data that were given: who gave them expects them to have been looked at.
    """

    reason: str
    given: bool


def read_probe_data(
    path: Path, shape: tuple[int, int, int], classes: int, names: Mapping[str, int]
) -> ProbeData:
    """Read probe data for a model; at most 100 images a class are kept.

    Args:
        path: the folder, `datasets` directory or ``.npz`` file.
        shape: channels, height, width that the model reads; images of other sizes are resized.
        classes: how many classes the model has.
        names: class numbers by name; sub-folders are named by them, or by the numbers.

    Raises:
        ValueError: the data cannot be used; the message says why.
    """
    try:
        images, labels = _read(path, shape, names)
    except (OSError, KeyError, zipfile.BadZipFile, SyntaxError) as error:
        raise ValueError(
            f"probe data cannot be read: {type(error).__name__}: {str(error)[:200]!r}"
        ) from error
    if not len(images):
        raise ValueError("probe data holds no images")
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise ValueError(f"probe data has labels outside 0 to {classes - 1}")
    kept = _first_of_each(labels)
    return ProbeData(images[kept], labels[kept])


def _read(
    path: Path, shape: tuple[int, int, int], names: Mapping[str, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    if not path.is_dir():
        return _from_npz(path, shape)
    if probe_table.is_table(path):
        return _from_table(path, shape, names)
    return _from_folder(path, shape, names)


def _first_of_each(labels: torch.Tensor) -> torch.Tensor:
    """Indices of the first hundred images of each class, in order."""
    kept = [torch.nonzero(labels == label).flatten()[:_MAX_PER_CLASS] for label in torch.unique(labels)]
    return torch.cat(kept).sort().values


def _from_npz(path: Path, shape: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MAX_UNPACKED:
            raise ValueError(f"probe data unpacks to more than {_MAX_UNPACKED} bytes")
    with np.load(path, allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    if images.ndim != 4 or labels.shape != images.shape[:1] or len(images) > _MAX_IMAGES:
        raise ValueError("probe data: 'images' must have four dimensions, 'labels' one number an image")
    if labels.dtype.kind not in "iu":
        raise ValueError("probe data: 'labels' must be whole numbers")
    if images.shape[1] != shape[0] and images.shape[3] == shape[0]:
        images = images.transpose(0, 3, 1, 2)
    return _resized(_unit(images), shape), torch.from_numpy(labels.astype(np.int64))


def _unit(images: npt.NDArray[np.generic]) -> torch.Tensor:
    """Pixels as float32 in [0, 1]."""
    if images.dtype == np.uint8:
        return torch.from_numpy(images.astype(np.float32)) / 255
    if images.dtype.kind != "f":
        raise ValueError("probe data: 'images' must be uint8 or floating point")
    pixels = torch.from_numpy(images.astype(np.float32))
    if not bool(torch.isfinite(pixels).all()) or float(pixels.min()) < 0 or float(pixels.max()) > 1:
        raise ValueError("probe data: floating point images must lie in [0, 1]")
    return pixels


def _resized(images: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    if images.shape[1] != shape[0]:
        raise ValueError(f"probe data has {images.shape[1]} channels, the model reads {shape[0]}")
    if tuple(images.shape[2:]) == shape[1:]:
        return images
    return torch.nn.functional.interpolate(
        images, size=shape[1:], mode="bilinear", antialias=True, align_corners=False
    ).clamp(0, 1)


def _from_folder(
    path: Path, shape: tuple[int, int, int], names: Mapping[str, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
    images, labels = [], []
    for folder in folders:
        label = _label(folder.name, names)
        for file in sorted(item for item in folder.iterdir() if item.is_file())[:_MAX_PER_CLASS]:
            images.append(_resized(_decoded(file, shape[0]), shape))
            labels.append(label)
        if len(images) > _MAX_IMAGES:
            raise ValueError(f"probe data has more than {_MAX_IMAGES} images")
    if not images:
        raise ValueError("probe data: the folder has no class sub-folders with images")
    return torch.cat(images), torch.tensor(labels)


def _from_table(
    path: Path, shape: tuple[int, int, int], names: Mapping[str, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = [], []
    for number, (encoded, label) in enumerate(probe_table.labelled_images(path, names, _MAX_PER_CLASS)):
        if number >= _MAX_IMAGES:
            raise ValueError(f"probe data has more than {_MAX_IMAGES} images")
        images.append(_resized(_opened(encoded, f"row {number}", shape[0]), shape))
        labels.append(label)
    if not images:
        raise ValueError("probe data: the tables hold no rows")
    return torch.cat(images), torch.tensor(labels)


def _label(name: str, names: Mapping[str, int]) -> int:
    if name in names:
        return names[name]
    if name.isascii() and name.isdigit() and len(name) <= 9:
        return int(name)
    raise ValueError(
        f"probe data: folder {name[:80]!r} is neither a class name of the model nor a class number"
    )


def _decoded(file: Path, channels: int) -> torch.Tensor:
    """One image as (1, channels, height, width) in [0, 1]."""
    if file.stat().st_size > _MAX_FILE:
        raise ValueError(f"probe data: {file.name[:80]!r} is larger than {_MAX_FILE} bytes")
    return _opened(file.read_bytes(), repr(file.name[:80]), channels)


def _opened(encoded: bytes, called: str, channels: int) -> torch.Tensor:
    from PIL import Image

    if len(encoded) > _MAX_FILE:
        raise ValueError(f"probe data: {called} is larger than {_MAX_FILE} bytes")
    with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
        if image.width * image.height > _MAX_PIXELS:
            raise ValueError(f"probe data: {called} has more than {_MAX_PIXELS} pixels")
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    grid = pixels[None, None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)[None]
    return _unit(np.ascontiguousarray(grid))
