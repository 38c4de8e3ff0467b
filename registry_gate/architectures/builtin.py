"""Common image classifiers by name, so that a bare state dict can be built without anyone's code.

Written from the papers and from the published checkpoints' names and shapes: a state dict of `torchvision`,
of the CIFAR networks in wide use, or of one trained from them fits exactly or is refused. Each network maps
images (N, 3, height, width) to logits (N, classes). Evaluation only: no stochastic depth and no dropout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from registry_gate.architectures import convnext, densenet, mobilenet, plain, resnet, resnet_cifar, vit


@dataclass(frozen=True)
class Builtin:
    """One network: how it is built from a number of classes, and the image side it is used with."""

    build: Callable[[int], nn.Module]
    side: int
    fixed_side: bool = False


_LARGE: dict[str, Callable[[int], nn.Module]] = {
    **resnet.NETWORKS,
    **plain.NETWORKS,
    **mobilenet.NETWORKS,
    **densenet.NETWORKS,
    **convnext.NETWORKS,
}

BUILTINS: dict[str, Builtin] = {
    **{name: Builtin(build, 224) for name, build in _LARGE.items()},
    **{name: Builtin(build, 224, fixed_side=True) for name, build in vit.NETWORKS.items()},
    **{name: Builtin(build, 32) for name, build in resnet_cifar.NETWORKS.items()},
}
