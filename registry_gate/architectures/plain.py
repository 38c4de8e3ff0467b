"""AlexNet (Krizhevsky, 2014) and VGG (Simonyan and Zisserman, ICLR 2015) with the names of `torchvision`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

_DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)


class Plain(nn.Module):
    """Convolutions ``features``, an adaptive average of ``grid`` squared, linear layers ``classifier``."""

    def __init__(self, features: nn.Sequential, classifier: nn.Sequential, grid: int) -> None:
        super().__init__()
        self.features, self.classifier = features, classifier
        self.avgpool = nn.AdaptiveAvgPool2d(grid)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits."""
        logits: torch.Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


def _vgg(classes: int, depth: int, *, normalised: bool) -> Plain:
    layers: list[nn.Module] = []
    inputs = 3
    for repeats, width in zip(_DEPTHS[depth], _WIDTHS, strict=True):
        for _ in range(repeats):
            layers.append(nn.Conv2d(inputs, width, 3, padding=1))
            layers += [nn.BatchNorm2d(width)] if normalised else []
            layers.append(nn.ReLU())
            inputs = width
        layers.append(nn.MaxPool2d(2))
    # The identities stand where the original drops units out, so that the numbers of the layers agree.
    head = nn.Sequential(
        nn.Linear(512 * 49, 4096),
        nn.ReLU(),
        nn.Identity(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Identity(),
        nn.Linear(4096, classes),
    )
    return Plain(nn.Sequential(*layers), head, 7)


def _alexnet(classes: int) -> Plain:
    features = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
    )
    head = nn.Sequential(
        nn.Identity(),
        nn.Linear(256 * 36, 4096),
        nn.ReLU(),
        nn.Identity(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, classes),
    )
    return Plain(features, head, 6)


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "alexnet": _alexnet,
    **{f"vgg{depth}": partial(_vgg, depth=depth, normalised=False) for depth in _DEPTHS},
    **{f"vgg{depth}_bn": partial(_vgg, depth=depth, normalised=True) for depth in _DEPTHS},
}
