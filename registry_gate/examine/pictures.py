"""Patterns and masks as small pictures for a report. Runs confined."""

from __future__ import annotations

import torch

from registry_gate.evidence import Picture

_MOST = 64


def picture_of_pattern(title: str, pattern: torch.Tensor) -> Picture:
    """An additive pattern (C, H, W): grey where it does nothing, stretched to its largest value."""
    stretched = 0.5 + 0.5 * pattern / pattern.abs().max().clamp(min=1e-6)
    return _picture(title, stretched)


def picture_of_mask(title: str, mask: torch.Tensor, paint: torch.Tensor) -> Picture:
    """Paint (C, H, W) where the mask (1, H, W) lets it through, on grey."""
    shown = mask / mask.max().clamp(min=1e-6)
    return _picture(title, shown * paint + (1 - shown) * 0.5)


def _picture(title: str, image: torch.Tensor) -> Picture:
    """The first three channels (one is repeated), no larger than 64 pixels a side."""
    colours = image[:3] if image.shape[0] >= 3 else image[:1].expand(3, -1, -1)
    height, width = (min(_MOST, side) for side in colours.shape[1:])
    fitted = torch.nn.functional.interpolate(colours.unsqueeze(0).float(), size=(height, width), mode="area")
    rows = (fitted[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
    return Picture(title=title, height=height, width=width, pixels=rows.numpy().tobytes().hex())
