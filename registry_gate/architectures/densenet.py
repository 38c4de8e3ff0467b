"""DenseNet (Huang et al., CVPR 2017) with the names of `torchvision`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

_GROWTH, _NARROW, _FIRST = 32, 4, 64


class _Layer(nn.Module):
    """Adds ``_GROWTH`` maps to those it is given."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        inner = _GROWTH * _NARROW
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, inner, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, _GROWTH, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        new = self.conv2(self.norm2(self.conv1(self.norm1(x).relu())).relu())
        return torch.cat([x, new], dim=1)


def _block(inputs: int, depth: int) -> nn.Sequential:
    named = ((f"denselayer{n + 1}", _Layer(inputs + n * _GROWTH)) for n in range(depth))
    return nn.Sequential(OrderedDict(named))


def _transition(inputs: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(inputs),
            relu=nn.ReLU(),
            conv=nn.Conv2d(inputs, inputs // 2, 1, bias=False),
            pool=nn.AvgPool2d(2),
        )
    )


class DenseNet(nn.Module):
    """``features`` and ``classifier``."""

    def __init__(self, classes: int, depths: tuple[int, ...]) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(3, _FIRST, 7, stride=2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(_FIRST),
            relu0=nn.ReLU(),
            pool0=nn.MaxPool2d(3, 2, 1),
        )
        maps = _FIRST
        for number, depth in enumerate(depths, start=1):
            layers[f"denseblock{number}"] = _block(maps, depth)
            maps += depth * _GROWTH
            if number < len(depths):
                layers[f"transition{number}"] = _transition(maps)
                maps //= 2
        layers["norm5"] = nn.BatchNorm2d(maps)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Linear(maps, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits."""
        logits: torch.Tensor = self.classifier(self.features(x).relu().mean(dim=(2, 3)))
        return logits


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "densenet121": partial(DenseNet, depths=(6, 12, 24, 16)),
    "densenet169": partial(DenseNet, depths=(6, 12, 32, 32)),
    "densenet201": partial(DenseNet, depths=(6, 12, 48, 32)),
}
