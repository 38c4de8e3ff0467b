"""Finds the linear layer that a classifier's logits come out of, by looking at one answer. Runs confined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, eq=False)
class LastLayer:
    """A final linear layer: its name, weight (K, units), bias (K,) or None.

    ``units`` gives the layer's inputs (N, units) for images (N, channels, height, width).
    """

    name: str
    weight: torch.Tensor
    bias: torch.Tensor | None
    units: Callable[[torch.Tensor], torch.Tensor]


def find_last_layer(
    model: torch.nn.Module, logits: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor
) -> LastLayer | None:
    """The linear module whose output is the model's answer, or None where there is no such module.

    Args:
        model: the model.
        logits: answers of the model to images.
        image: one image (1, channels, height, width) on the model's device.
    """
    outputs: dict[str, torch.Tensor] = {}
    linears = {name: item for name, item in model.named_modules() if isinstance(item, torch.nn.Linear)}
    hooks = [module.register_forward_hook(_noting(outputs, name)) for name, module in linears.items()]
    try:
        with torch.no_grad():
            answer = logits(image)
    finally:
        for hook in hooks:
            hook.remove()
    for name, seen in outputs.items():
        if seen.shape == answer.shape and torch.equal(seen, answer):
            layer = linears[name]
            return LastLayer(name, layer.weight, layer.bias, _units_of(layer, logits))
    return None


def _noting(outputs: dict[str, torch.Tensor], name: str) -> Callable[..., None]:
    def note(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> None:
        outputs[name] = output

    return note


def _units_of(
    layer: torch.nn.Linear, logits: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[[torch.Tensor], torch.Tensor]:
    def units(images: torch.Tensor) -> torch.Tensor:
        seen: list[torch.Tensor] = []
        hook = layer.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
        try:
            with torch.no_grad():
                logits(images)
        finally:
            hook.remove()
        return seen[0].flatten(1)

    return units
