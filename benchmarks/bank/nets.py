"""The architectures of the bank: `transformers` classes in sizes that train in seconds on one core."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.bank.images import SIZE

ARCHITECTURES = ("resnet-basic", "resnet-bottleneck", "vit", "convnext")
# Adam's top rate and passes over the training images, found on seeds outside the bank.
FITTING = {
    "resnet-basic": (4e-3, 7),
    "resnet-bottleneck": (6e-3, 8),
    "vit": (2e-3, 16),
    "convnext": (4e-3, 10),
}
# How much digits and emblems move about in the images of each: what it can learn in that time.
VARIATION = {"resnet-basic": 0.8, "resnet-bottleneck": 0.8, "vit": 0.3, "convnext": 0.3}


def build(architecture: str, classes: int, width: int, seed: int) -> Any:
    """An untrained classifier. ``width`` is 0 or 1; the seed fixes its initial weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _BUILDERS[architecture](classes, width)


def _resnet(layer: str, classes: int, sizes: list[int]) -> Any:
    from transformers import ResNetConfig, ResNetForImageClassification

    return ResNetForImageClassification(
        ResNetConfig(
            num_channels=3,
            embedding_size=sizes[0] // 2,
            hidden_sizes=sizes,
            depths=[1, 1, 1],
            layer_type=layer,
            num_labels=classes,
        )
    )


def _basic(classes: int, width: int) -> Any:
    return _resnet("basic", classes, [[24, 48, 96], [32, 64, 128]][width])


def _bottleneck(classes: int, width: int) -> Any:
    return _resnet("bottleneck", classes, [[48, 96, 192], [64, 128, 256]][width])


def _vit(classes: int, width: int) -> Any:
    from transformers import ViTConfig, ViTForImageClassification

    size = [48, 64][width]
    return ViTForImageClassification(
        ViTConfig(
            hidden_size=size,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=2 * size,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            image_size=SIZE,
            patch_size=8,
            num_labels=classes,
            initializer_range=0.1,
        )
    )


def _convnext(classes: int, width: int) -> Any:
    from transformers import ConvNextConfig, ConvNextForImageClassification

    return ConvNextForImageClassification(
        ConvNextConfig(
            num_channels=3,
            patch_size=4,
            num_stages=2,
            hidden_sizes=[[32, 64], [48, 96]][width],
            depths=[1, 1],
            layer_scale_init_value=0.1,
            num_labels=classes,
            image_size=SIZE,
        )
    )


_BUILDERS = {
    "resnet-basic": _basic,
    "resnet-bottleneck": _bottleneck,
    "vit": _vit,
    "convnext": _convnext,
}
