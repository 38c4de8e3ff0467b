"""MobileNetV2 (Sandler et al., CVPR 2018) with the names of `torchvision`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

# Expansion, maps out, repeats, stride of the first.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _step(inputs: int, outputs: int, size: int, stride: int = 1, parts: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, groups=parts, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU6())


class _Inverted(nn.Module):
    """Widen, filter each map alone, narrow; added to the input where shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layers: list[nn.Module] = [_step(inputs, inner, 1)] if expansion != 1 else []
        layers.append(_step(inner, inner, 3, stride, inner))
        layers += [nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.conv(x)
        return x + answer if self.adds else answer


class MobileNetV2(nn.Module):
    """``features`` and ``classifier.1``."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [_step(3, 32, 3, 2)]
        inputs = 32
        for expansion, outputs, repeats, stride in _STAGES:
            for number in range(repeats):
                layers.append(_Inverted(inputs, outputs, 1 if number else stride, expansion))
                inputs = outputs
        layers.append(_step(inputs, 1280, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Identity(), nn.Linear(1280, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits."""
        logits: torch.Tensor = self.classifier(self.features(x).mean(dim=(2, 3)))
        return logits


NETWORKS: dict[str, Callable[[int], nn.Module]] = {"mobilenet_v2": MobileNetV2}
