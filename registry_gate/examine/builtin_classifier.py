"""A bare state dict as a logits function: a built-in network, and what its pixels go through. Confined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from registry_gate.architectures.builtin import BUILTINS
from registry_gate.examine.behaviour_messages import Architecture
from registry_gate.examine.builtin_structure import fill
from registry_gate.examine.image_classifier import ImageClassifier
from registry_gate.examine.last_layer import find_last_layer
from registry_gate.examine.probe_data import ProbeData

# (mean, standard deviation) of each channel that pixels in [0, 1] are normalised by.
NORMALISATIONS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "quarter": ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


def load_builtin(
    root: Path, weights: tuple[str, ...], architecture: Architecture, device: torch.device
) -> ImageClassifier:
    """Fill the network; ImageNet's normalisation is assumed until probe data says otherwise.

    Raises:
        ValueError: the tensors do not fill it, it cannot read images of the size asked for, or its answers
            are not finite.
    """
    known = BUILTINS[architecture.name]
    side = architecture.image or known.side
    if known.fixed_side and side != known.side:
        raise ValueError(f"{architecture.name} reads {known.side} x {known.side} pixels only")
    filled: Any = fill(root, weights, architecture)  # the library's own annotations forget memory_format
    model = filled.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    grey = torch.full((2, 3, side, side), 0.5, device=device)
    try:
        with torch.no_grad():
            answer = model(grey)
    except RuntimeError as error:
        raise ValueError(f"{architecture.name} cannot read {side} x {side} pixels: {error}") from error
    if not bool(torch.isfinite(answer).all()):
        raise ValueError("the model does not answer a grey image with finite logits")
    bare = ImageClassifier(model, (3, side, side), architecture.classes, {}, device, "")
    return normalised(bare, "imagenet", "taken to be ImageNet's, for no probe data tells", model)


def normalised(bare: ImageClassifier, name: str, because: str, model: torch.nn.Module) -> ImageClassifier:
    """The classifier with one of ``NORMALISATIONS`` in front of the network."""
    mean, std = (torch.tensor(values, device=bare.device).view(3, 1, 1) for values in NORMALISATIONS[name])

    def logits(images: torch.Tensor) -> torch.Tensor:
        pixels = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
        answer: torch.Tensor = model(pixels)
        return answer

    grey = torch.full((1, *bare.shape), 0.5, device=bare.device)
    last = find_last_layer(model, logits, grey)
    return replace(bare, logits=logits, last=last, note=f"normalisation {name}: {because}", network=model)


def fitted_to(classifier: ImageClassifier, probe: ProbeData) -> ImageClassifier:
    """The classifier under the normalisation by which it recognises most probe images (first of equals)."""
    if classifier.network is None:
        return classifier
    model, images = classifier.network, probe.images.to(classifier.device)
    best, most = classifier, -1.0
    for name in NORMALISATIONS:
        tried = normalised(classifier, name, "", model)
        with torch.no_grad():
            found = torch.cat([tried.logits(part).argmax(dim=1).cpu() for part in torch.split(images, 128)])
        share = float((found == probe.labels).float().mean())
        if share > most:
            because = f"the model recognises {share:.0%} of the probe images under it"
            best, most = normalised(classifier, name, because, model), share
    return best
