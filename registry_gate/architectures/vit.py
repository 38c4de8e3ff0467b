"""Vision transformer (Dosovitskiy et al., ICLR 2021) with the names of `torchvision`, at 224 x 224."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

_SIDE = 224


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        # The identities stand where the original drops units out, so that the numbers of the layers agree.
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Identity(), nn.Linear(4 * width, width), nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = self.ln_1(x)
        x = x + self.self_attention(seen, seen, seen, need_weights=False)[0]
        answer: torch.Tensor = x + self.mlp(self.ln_2(x))
        return answer


class _Encoder(nn.Module):
    def __init__(self, tokens: int, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.zeros(1, tokens, width))
        named = ((f"encoder_layer_{n}", _Layer(width, heads)) for n in range(depth))
        self.layers = nn.Sequential(OrderedDict(named))
        self.ln = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.ln(self.layers(x + self.pos_embedding))
        return answer


class VisionTransformer(nn.Module):
    """Patches, class token, encoder, ``heads.head``."""

    def __init__(self, classes: int, patch: int, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(3, width, patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.encoder = _Encoder((_SIDE // patch) ** 2 + 1, width, heads, depth)
        self.heads = nn.Sequential(OrderedDict(head=nn.Linear(width, classes)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits."""
        patches = self.conv_proj(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), patches], dim=1)
        logits: torch.Tensor = self.heads(self.encoder(tokens)[:, 0])
        return logits


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "vit_b_16": partial(VisionTransformer, patch=16, width=768, heads=12, depth=12),
    "vit_b_32": partial(VisionTransformer, patch=32, width=768, heads=12, depth=12),
    "vit_l_16": partial(VisionTransformer, patch=16, width=1024, heads=16, depth=24),
}
