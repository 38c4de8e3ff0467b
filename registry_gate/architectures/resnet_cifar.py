"""Residual networks for 32 x 32 images, with the names of the checkpoints in wide use.

* ``resnetN-small``: `torchvision`'s names with a 3 x 3 stem and no pooling.
* ``cifar-resnetN``: kuangliu/pytorch-cifar (``shortcut``, ``linear``), also used by BackdoorBench.
* ``cifar-preactresnet18``: the same authors' pre-activation network (He et al., ECCV 2016).
* ``resnet20`` to ``resnet110``: the CIFAR networks of the ResNet paper with projection shortcuts
  (``downsample``, ``fc``), as in chenyaofo/pytorch-cifar-models.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from registry_gate.architectures.resnet import BasicBlock, Bottleneck, ResNet


class _Block(nn.Module):
    """Convolutions ``conv1`` .. and a shortcut that is empty where nothing changes."""

    def __init__(self, inputs: int, width: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        outputs = width * (4 if bottleneck else 1)
        sizes = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
        if not bottleneck:
            sizes = [(inputs, width, 3, stride), (width, width, 3, 1)]
        self.depth = len(sizes)
        for number, (taken, given, size, step) in enumerate(sizes, start=1):
            convolution = nn.Conv2d(taken, given, size, stride=step, padding=size // 2, bias=False)
            self.add_module(f"conv{number}", convolution)
            self.add_module(f"bn{number}", nn.BatchNorm2d(given))
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = x
        for number in range(1, self.depth + 1):
            inner = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(inner))
            if number < self.depth:
                inner = inner.relu()
        answer: torch.Tensor = (inner + self.shortcut(x)).relu()
        return answer


class _PreActivationBlock(nn.Module):
    """Normalisation before each of two convolutions; the shortcut is a bare convolution where needed."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride=stride, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        active = self.bn1(x).relu()
        kept = self.shortcut(active) if hasattr(self, "shortcut") else x
        answer: torch.Tensor = self.conv2(self.bn2(self.conv1(active)).relu()) + kept
        return answer


class CifarResNet(nn.Module):
    """kuangliu's ResNet: stem of 64 maps, four stages, ``linear``."""

    def __init__(self, classes: int, depths: tuple[int, ...], *, bottleneck: bool = False) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64)
        inputs = 64
        for stage, depth in enumerate(depths):
            width, blocks = 64 * 2**stage, []
            for number in range(depth):
                stride = 2 if stage and not number else 1
                blocks.append(_Block(inputs, width, stride, bottleneck=bottleneck))
                inputs = width * (4 if bottleneck else 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits."""
        x = self.bn1(self.conv1(x)).relu()
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        logits: torch.Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits


class CifarPreActivation(nn.Module):
    """kuangliu's pre-activation ResNet-18: no normalisation before the average."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        inputs = 64
        for stage in range(4):
            width, blocks = 64 * 2**stage, []
            for number in range(2):
                blocks.append(_PreActivationBlock(inputs, width, 2 if stage and not number else 1))
                inputs = width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.linear = nn.Linear(512, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits."""
        x = self.conv1(x)
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        logits: torch.Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits


class ThinResNet(nn.Module):
    """The ResNet paper's CIFAR network: three stages of 16, 32 and 64 maps, ``fc``."""

    def __init__(self, classes: int, depth: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        inputs = 16
        for stage in range(3):
            width, blocks = 16 * 2**stage, []
            for number in range(depth):
                blocks.append(BasicBlock(inputs, width, 2 if stage and not number else 1))
                inputs = width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits."""
        x = self.bn1(self.conv1(x)).relu()
        for stage in range(1, 4):
            x = self.get_submodule(f"layer{stage}")(x)
        logits: torch.Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "resnet18-small": partial(ResNet, block=BasicBlock, depths=(2, 2, 2, 2), small=True),
    "resnet34-small": partial(ResNet, block=BasicBlock, depths=(3, 4, 6, 3), small=True),
    "resnet50-small": partial(ResNet, block=Bottleneck, depths=(3, 4, 6, 3), small=True),
    "cifar-resnet18": partial(CifarResNet, depths=(2, 2, 2, 2)),
    "cifar-resnet34": partial(CifarResNet, depths=(3, 4, 6, 3)),
    "cifar-resnet50": partial(CifarResNet, depths=(3, 4, 6, 3), bottleneck=True),
    "cifar-preactresnet18": CifarPreActivation,
    "resnet20": partial(ThinResNet, depth=3),
    "resnet32": partial(ThinResNet, depth=5),
    "resnet44": partial(ThinResNet, depth=7),
    "resnet56": partial(ThinResNet, depth=9),
    "resnet110": partial(ThinResNet, depth=18),
}
