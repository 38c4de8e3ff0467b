"""ConvNeXt (Liu et al., CVPR 2022) with the names of `torchvision`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn


class _MapsLast(nn.LayerNorm):
    """Normalises over the maps of (N, maps, height, width)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Permute(nn.Module):
    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(*self.order)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 7, padding=3, groups=width),
            _Permute(0, 2, 3, 1),
            nn.LayerNorm(width, eps=1e-6),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            _Permute(0, 3, 1, 2),
        )
        self.layer_scale = nn.Parameter(torch.full((width, 1, 1), 1e-6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = x + self.layer_scale * self.block(x)
        return answer


class ConvNeXt(nn.Module):
    """Stem, stages and halvings in ``features``, then ``classifier``."""

    def __init__(self, classes: int, depths: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, widths[0], 4, stride=4), _MapsLast(widths[0], eps=1e-6))
        layers: list[nn.Module] = [stem]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            layers.append(nn.Sequential(*[_Block(width) for _ in range(depth)]))
            if stage + 1 < len(widths):
                halving = nn.Conv2d(width, widths[stage + 1], 2, stride=2)
                layers.append(nn.Sequential(_MapsLast(width, eps=1e-6), halving))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            _MapsLast(widths[-1], eps=1e-6), nn.Flatten(1), nn.Linear(widths[-1], classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits."""
        logits: torch.Tensor = self.classifier(self.features(x).mean(dim=(2, 3), keepdim=True))
        return logits


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "convnext_tiny": partial(ConvNeXt, depths=(3, 3, 9, 3), widths=(96, 192, 384, 768)),
    "convnext_small": partial(ConvNeXt, depths=(3, 3, 27, 3), widths=(96, 192, 384, 768)),
    "convnext_base": partial(ConvNeXt, depths=(3, 3, 27, 3), widths=(128, 256, 512, 1024)),
}
