"""A staged image classifier as a logits function on images in [0, 1]. Runs confined."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from registry_gate.backdoor.margin import Logits
from registry_gate.examine.filled_model import filled_model
from registry_gate.examine.last_layer import LastLayer, find_last_layer
from registry_gate.examine.model_structure import LibraryClass

_MAX_PREPROCESSOR = 1 << 20
_SMALLEST, _LARGEST = 8, 1024


@dataclass(frozen=True)
class ImageClassifier:
    """A frozen model in evaluation mode.

    ``labels`` are class numbers by name, ``note`` says what was assumed, ``last`` is the linear layer that
    the logits come out of, where there is one. ``network`` is there where its normalisation is not known yet.
    """

    logits: Logits
    shape: tuple[int, int, int]
    classes: int
    labels: Mapping[str, int]
    device: torch.device
    note: str
    last: LastLayer | None = None
    network: torch.nn.Module | None = None


def load_image_classifier(
    root: Path, weights: tuple[str, ...], library: LibraryClass, device: torch.device
) -> ImageClassifier:
    """Load the staged tensors into the class, all of them, and put its preprocessing in front.

    Args:
        root: the staged folder.
        weights: names of the safetensors files in it.
        library: the class, whose structure was compared before.
        device: where the model runs, in float32.

    Raises:
        ValueError: the tensors do not fill the class exactly, or the model does not answer with finite logits
            of two or more classes.
    """
    # Channels last is a third cheaper for convolutions, on processors and accelerators alike.
    model = filled_model(root, weights, library).to(device, memory_format=torch.channels_last)
    preprocessor = _preprocessor(root)
    config = library.built_from
    channels = _count(getattr(config, "num_channels", 3), 1, 16, "num_channels")
    height, width = _size(getattr(config, "image_size", None), preprocessor)
    scale, mean, std = _normalisation(preprocessor, channels)
    mean, std = mean.to(device), std.to(device)

    def logits(images: torch.Tensor) -> torch.Tensor:
        pixels = ((images * scale - mean) / std).contiguous(memory_format=torch.channels_last)
        answer: torch.Tensor = model(pixel_values=pixels).logits
        return answer

    with torch.no_grad():
        answer = logits(torch.full((2, channels, height, width), 0.5, device=device))
    if answer.ndim != 2 or answer.shape[1] < 2 or not bool(torch.isfinite(answer).all()):
        raise ValueError("the model does not answer a grey image with finite logits of two or more classes")
    labels = {str(name): int(number) for number, name in (config.id2label or {}).items()}
    note = "" if preprocessor else "no preprocessor_config.json: the model is taken to read pixels in [0, 1]"
    last = find_last_layer(model, logits, torch.full((1, channels, height, width), 0.5, device=device))
    return ImageClassifier(logits, (channels, height, width), answer.shape[1], labels, device, note, last)


def _preprocessor(root: Path) -> dict[str, Any]:
    path = root / "preprocessor_config.json"
    if not path.is_file():
        return {}
    if path.stat().st_size > _MAX_PREPROCESSOR:
        raise ValueError("preprocessor_config.json is too large")
    document = json.loads(path.read_bytes())
    if not isinstance(document, dict):
        raise ValueError("preprocessor_config.json is not a JSON object")
    return document


def _size(image_size: object, preprocessor: dict[str, Any]) -> tuple[int, int]:
    """Height and width: of the configuration, else the preprocessor's crop or size, else 224."""
    for size in (image_size, preprocessor.get("crop_size"), preprocessor.get("size"), 224):
        if isinstance(size, dict):
            edge = size.get("shortest_edge")
            size = [size.get("height", edge), size.get("width", edge)]  # noqa: PLW2901 - one shape for all spellings
        pair = list(size) if isinstance(size, list | tuple) else [size, size]
        if len(pair) == 2 and all(isinstance(edge, int) for edge in pair):
            return _count(pair[0], _SMALLEST, _LARGEST, "height"), _count(
                pair[1], _SMALLEST, _LARGEST, "width"
            )
    raise ValueError("no image size")


def _count(value: object, least: int, most: int, what: str) -> int:
    if not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{what} is {str(value)[:40]!r}, not between {least} and {most}")
    return value


def _normalisation(preprocessor: dict[str, Any], channels: int) -> tuple[float, torch.Tensor, torch.Tensor]:
    """What is done to a pixel in [0, 1]: ``(pixel * scale - mean) / std``, mean and std (C, 1, 1)."""
    scale = 1.0
    if preprocessor.get("do_rescale", True) and "rescale_factor" in preprocessor:
        scale = 255 * float(preprocessor["rescale_factor"])
    elif preprocessor.get("do_rescale") is False:
        scale = 255.0
    mean, std = [0.0] * channels, [1.0] * channels
    if (
        preprocessor.get("do_normalize", True)
        and "image_mean" in preprocessor
        and "image_std" in preprocessor
    ):
        mean, std = (
            [float(v) for v in preprocessor[key]]
            if isinstance(preprocessor[key], list)
            else [float(preprocessor[key])] * channels
            for key in ("image_mean", "image_std")
        )
    plausible = len(mean) == len(std) == channels and 1e-3 < scale < 1e3
    if not plausible or not all(math.isfinite(v) for v in mean) or not all(1e-4 < v < 1e4 for v in std):
        raise ValueError("preprocessor_config.json: mean, std or rescale_factor do not fit the model")
    shape = (channels, 1, 1)
    return scale, torch.tensor(mean).view(shape), torch.tensor(std).view(shape)
