"""ResNet (He et al., CVPR 2016), ResNeXt and wide ResNet with the names of `torchvision`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn


def _conv(inputs: int, outputs: int, size: int, stride: int = 1, parts: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, groups=parts, bias=False)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int, *, base: int = 64, parts: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3), nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(inputs, width, stride)

    expansion = 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps to feature maps."""
        inner = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        answer: torch.Tensor = self.relu(inner + (x if self.downsample is None else self.downsample(x)))
        return answer


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 (grouped in ResNeXt, wider in wide ResNet) and 1 x 1 convolutions, and a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, *, base: int = 64, parts: int = 1) -> None:
        super().__init__()
        inner, outputs = int(width * base / 64) * parts, width * self.expansion
        self.conv1, self.bn1 = _conv(inputs, inner, 1), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = _conv(inner, inner, 3, stride, parts), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = _conv(inner, outputs, 1), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps to feature maps."""
        inner = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        inner = self.bn3(self.conv3(inner))
        answer: torch.Tensor = self.relu(inner + (x if self.downsample is None else self.downsample(x)))
        return answer


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """Stem, four stages of blocks, average, linear layer ``fc``.

    ``small`` is the stem for 32 x 32 images: a 3 x 3 convolution of stride 1 and no pooling.
    """

    def __init__(
        self,
        classes: int,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, ...],
        *,
        base: int = 64,
        parts: int = 1,
        small: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = _conv(3, 64, 3) if small else _conv(3, 64, 7, 2)
        self.bn1, self.relu = nn.BatchNorm2d(64), nn.ReLU()
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for stage, depth in enumerate(depths):
            width, blocks = 64 * 2**stage, []
            for number in range(depth):
                stride = 2 if stage and not number else 1
                blocks.append(block(inputs, width, stride, base=base, parts=parts))
                inputs = width * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        logits: torch.Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "resnet18": partial(ResNet, block=BasicBlock, depths=(2, 2, 2, 2)),
    "resnet34": partial(ResNet, block=BasicBlock, depths=(3, 4, 6, 3)),
    "resnet50": partial(ResNet, block=Bottleneck, depths=(3, 4, 6, 3)),
    "resnet101": partial(ResNet, block=Bottleneck, depths=(3, 4, 23, 3)),
    "resnet152": partial(ResNet, block=Bottleneck, depths=(3, 8, 36, 3)),
    "resnext50_32x4d": partial(ResNet, block=Bottleneck, depths=(3, 4, 6, 3), base=4, parts=32),
    "wide_resnet50_2": partial(ResNet, block=Bottleneck, depths=(3, 4, 6, 3), base=128),
}
