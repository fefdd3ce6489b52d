"""A ViT and a prototype head written once more, without any of trainer's code: plain functions of named weights.

Attention by hand, one crop group at a time. Sources: ViT (arXiv 2010.11929), DINOv2 (arXiv 2304.07193, section 4),
registers (arXiv 2309.16588), rotary positions over two axes (DINOv3, arXiv 2508.10104, section 3.2), stochastic depth
on sub-batches. Dimensions: B images per group, h x w patches, N tokens, D width, K prototypes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as nn
from torch import Tensor

Weights = Mapping[str, Tensor]
Kept = Sequence[tuple[Tensor, Tensor] | None] | None
"""By block: the kept samples of attention and of the feed-forward part; None: all."""


def below(weights: Weights, name: str) -> dict[str, Tensor]:
    """The weights under a name, without it."""
    return {key[len(name) + 1 :]: value for key, value in weights.items() if key.startswith(name + ".")}


@dataclass(frozen=True)
class Rotary:
    """Periods of the rotations [d / 4], and the largest shift, jitter and rescale of coordinates in training."""

    periods: Tensor
    shift: float = 0.0
    jitter: float = 1.0
    rescale: float = 1.0

    def coordinates(self, height: int, width: int) -> Tensor:
        """Centres of the patches, from -1 to 1. Shapes: [h * w, 2]."""
        rows = [
            (2 * (row + 0.5) / height - 1, 2 * (column + 0.5) / width - 1)
            for row in range(height)
            for column in range(width)
        ]
        return torch.tensor(rows, dtype=torch.float64)

    def distorted(self, coordinates: Tensor) -> Tensor:
        """Moved and stretched by fresh draws of the default generator: shift, jitter per axis, rescale of both."""
        if self.shift:
            coordinates = coordinates + ((2 * torch.rand(2) - 1) * self.shift).double()
        for largest, axes in ((self.jitter, 2), (self.rescale, 1)):
            if largest != 1:
                coordinates = coordinates * ((2 * torch.rand(axes) - 1) * math.log(largest)).exp().double()
        return coordinates

    def turned(self, x: Tensor, coordinates: Tensor) -> Tensor:
        """Pairs (i, i + d / 2) of the patches turned; prefix tokens stay. Shapes: [B, heads, N, d]."""
        angles = 2 * math.pi * torch.cat([coordinates[:, :1] / self.periods, coordinates[:, 1:] / self.periods], 1)
        prefix, patches = x.split([x.shape[2] - len(angles), len(angles)], 2)
        real, imaginary = patches.chunk(2, -1)
        turned = torch.complex(real, imaginary) * torch.polar(torch.ones_like(angles), angles)
        return torch.cat([prefix, torch.cat([turned.real, turned.imag], -1)], 2)


@dataclass(frozen=True)
class PlainVit:
    """Sizes of a ViT. `offset`: added to the grid before positions are resized, as the released code does."""

    heads: int
    patch: int
    grid: int
    registers: int
    swiglu: bool
    offset: float
    antialias: bool
    rotary: Rotary | None = None

    def positions(self, weights: Weights, height: int, width: int) -> Tensor:
        """Position embeddings of a grid of patches."""
        table = weights["pos_embed"]
        if (height, width) == (self.grid, self.grid):
            return table
        grid = table[:, 1:].reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
        if self.offset:
            scale = ((height + self.offset) / self.grid, (width + self.offset) / self.grid)
            grid = nn.interpolate(grid, scale_factor=scale, mode="bicubic", antialias=self.antialias)
        else:
            grid = nn.interpolate(grid, size=(height, width), mode="bicubic", antialias=self.antialias)
        return torch.cat([table[:, :1], grid.permute(0, 2, 3, 1).reshape(1, height * width, -1)], 1)

    def __call__(
        self,
        weights: Weights,
        images: Tensor,
        masks: Tensor | None = None,
        kept: Kept = None,
        coordinates: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Tokens after the last norm: class, registers, patches. Shapes: [B, C, H, W] -> [B, 1 + R + N, D].

        coordinates: by block, of the patches, where rotary positions are distorted.
        """
        batch, _, height, width = images.shape
        height, width = height // self.patch, width // self.patch
        projection = weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"]
        tokens = nn.conv2d(images, *projection, stride=self.patch).flatten(2).transpose(1, 2)
        if masks is not None:
            tokens = torch.where(masks[..., None], weights["mask_token"][None], tokens)
        tokens = torch.cat([weights["cls_token"].expand(batch, -1, -1), tokens], 1)
        if self.rotary is None:
            tokens = tokens + self.positions(weights, height, width)
        if self.registers:
            extra = weights["register_tokens"].expand(batch, -1, -1)
            tokens = torch.cat([tokens[:, :1], extra, tokens[:, 1:]], 1)
        for number in range(self.depth(weights)):
            block, chosen = below(weights, f"blocks.{number}"), kept[number] if kept else None
            places = coordinates[number] if coordinates else self.rotary and self.rotary.coordinates(height, width)
            for part in range(2):

                def branch(x: Tensor) -> Tensor:
                    return self._feed_forward(block, x) if part else self._attention(block, x, places)  # noqa: B023

                if chosen is None:
                    tokens = tokens + branch(tokens)
                else:
                    rows = chosen[part]
                    tokens = tokens.index_add(0, rows, branch(tokens[rows]) * (batch / len(rows)))
        return _norm(weights, "norm", tokens)

    @staticmethod
    def depth(weights: Weights) -> int:
        """Number of blocks."""
        return len({key.split(".")[1] for key in weights if key.startswith("blocks.")})

    def _attention(self, block: Weights, tokens: Tensor, places: Tensor | None) -> Tensor:
        batch, count, width = tokens.shape
        normed = _norm(block, "norm1", tokens)
        together = nn.linear(normed, block["attn.qkv.weight"], block["attn.qkv.bias"])
        query, key, value = together.reshape(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if self.rotary is not None and places is not None:
            query, key = self.rotary.turned(query, places), self.rotary.turned(key, places)
        share = (query @ key.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(-1)
        mixed = (share @ value).transpose(1, 2).reshape(batch, count, width)
        return nn.linear(mixed, block["attn.proj.weight"], block["attn.proj.bias"]) * block.get("ls1.gamma", 1.0)

    def _feed_forward(self, block: Weights, tokens: Tensor) -> Tensor:
        normed = _norm(block, "norm2", tokens)
        if self.swiglu:
            gate, up = nn.linear(normed, block["mlp.w12.weight"], block["mlp.w12.bias"]).chunk(2, -1)
            out = nn.linear(nn.silu(gate) * up, block["mlp.w3.weight"], block["mlp.w3.bias"])
        else:
            hidden = nn.gelu(nn.linear(normed, block["mlp.fc1.weight"], block["mlp.fc1.bias"]))
            out = nn.linear(hidden, block["mlp.fc2.weight"], block["mlp.fc2.bias"])
        return out * block.get("ls2.gamma", 1.0)


def _norm(weights: Weights, name: str, tokens: Tensor) -> Tensor:
    return nn.layer_norm(tokens, tokens.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6)


def head(weights: Weights, tokens: Tensor) -> Tensor:
    """Logits of prototypes. Shapes: [n, D] -> [n, K]."""
    linears = sorted(key.removesuffix(".weight") for key in weights if key.startswith("mlp.") and "weight" in key)
    for name in linears:
        tokens = nn.linear(tokens, weights[f"{name}.weight"], weights.get(f"{name}.bias"))
        if name != linears[-1]:
            tokens = nn.gelu(tokens)
    tokens = nn.normalize(tokens, dim=-1, eps=1e-12)
    if "last_layer.weight_g" not in weights:
        return tokens @ weights["last_layer.weight"].T
    direction = weights["last_layer.weight_v"]
    return tokens @ (weights["last_layer.weight_g"] * direction / direction.norm(dim=1, keepdim=True)).T
