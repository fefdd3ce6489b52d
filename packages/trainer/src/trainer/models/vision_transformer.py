"""The Vision Transformer: images (and masks) of several crop groups in, class, register and patch tokens out.

Dimensions: B images, C channels, N = h * w patches, R registers, D width, T packed rows.
Token order: CLS, registers, patches (row-major). Parameter names are those of the official DINOv2 checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from contracts.errors import ConfigError
from trainer.layers.block import Block, BlockSettings
from trainer.layers.packing import PackedLayout, pack
from trainer.layers.patch_embed import PatchEmbed
from trainer.layers.position_table import resample_position_table, resampling_named
from trainer.layers.rope import AxialRope, RopeSettings, RotaryTables
from trainer.layers.stochastic_depth import DepthDraws, draw_depth, draws_on
from trainer.models.initialise import truncated_normal_linears


@dataclass(frozen=True)
class VitSettings:
    """Everything that defines a backbone.

    Units: `image_size` is the side in px of the images the position table is made for; `layer_scale` is the initial
    gain (None = no LayerScale); `drop_path_rate` is the share of samples a residual branch skips in training, in every
    block or, with drop_path_uniform False, growing linearly from 0 with depth.
    `position` is "learned" or "rope"; `resampling` names a convention of layers/position_table.py.
    `recompute` keeps only the input of each block for the backward pass, which computes the block again.
    """

    embed_dim: int
    depth: int
    num_heads: int
    patch_size: int = 14
    image_size: int = 224
    in_channels: int = 3
    registers: int = 0
    ffn: str = "mlp"
    mlp_ratio: float = 4.0
    layer_scale: float | None = 1e-5
    position: str = "learned"
    resampling: str = "official"
    rope: RopeSettings = field(default_factory=RopeSettings)
    drop_path_rate: float = 0.0
    drop_path_uniform: bool = True
    attention: str = "sdpa"
    recompute: bool = False


@dataclass(frozen=True)
class Features:
    """Output tokens of one crop group; all but `prenorm` are after the final norm.

    Shapes: cls [B, D], registers [B, R, D], patches [B, N, D], prenorm [B, 1 + R + N, D].
    """

    cls: Tensor
    registers: Tensor
    patches: Tensor
    prenorm: Tensor


class VisionTransformer(nn.Module):
    """A ViT that takes all crop groups at once. Source: arXiv 2010.11929; arXiv 2304.07193; arXiv 2309.16588."""

    def __init__(self, settings: VitSettings) -> None:
        super().__init__()
        s = settings
        if s.image_size % s.patch_size:
            raise ConfigError(f"Image size {s.image_size} px is not a multiple of the patch size {s.patch_size} px.")
        if s.position not in ("learned", "rope"):
            raise ConfigError(f"Unknown position embedding {s.position!r}; known: learned, rope.")
        self.settings = s
        self.embed_dim, self.depth, self.patch_size = s.embed_dim, s.depth, s.patch_size
        self.num_register_tokens, self.in_channels = s.registers, s.in_channels
        self.patch_embed = PatchEmbed(s.patch_size, s.in_channels, s.embed_dim)
        self.cls_token = nn.Parameter(torch.empty(1, 1, s.embed_dim))
        self.register_parameter("pos_embed", None)
        if s.position == "learned":
            self.pos_embed = nn.Parameter(torch.empty(1, 1 + (s.image_size // s.patch_size) ** 2, s.embed_dim))
        self.register_parameter("register_tokens", None)
        if s.registers:
            self.register_tokens = nn.Parameter(torch.empty(1, s.registers, s.embed_dim))
        self.mask_token = nn.Parameter(torch.empty(1, s.embed_dim))
        self.rope_embed = AxialRope(s.embed_dim // s.num_heads, s.rope) if s.position == "rope" else None
        block = BlockSettings(s.embed_dim, s.num_heads, s.mlp_ratio, s.ffn, s.layer_scale, s.attention)
        self.blocks = nn.ModuleList(Block(block) for _ in range(s.depth))
        self.norm = nn.LayerNorm(s.embed_dim, eps=1e-6)
        self.resampling = resampling_named(s.resampling)
        self._initialise()

    def forward(self, images: Tensor, masks: Tensor | None = None) -> Features:
        """Tokens of one crop group. Shapes: images [B, C, H, W], masks bool [B, N] (True = mask token)."""
        return self._forward_packed([images], [masks], None)[0]

    def forward_packed(
        self,
        images: Sequence[Tensor],
        masks: Sequence[Tensor | None],
        draws: DepthDraws | None = None,
    ) -> list[Features]:
        """All crop groups in one pass: norms and linears see the concatenation, attention stays inside each sample.

        `draws` fixes the samples that stochastic depth keeps; None draws afresh in training and keeps all otherwise.
        Shapes: images G times [B_g, C, H_g, W_g], masks G times bool [B_g, N_g] or None.
        """
        return self._forward_packed(images, masks, draws)

    def forward_rows(
        self,
        images: Sequence[Tensor],
        masks: Sequence[Tensor | None],
        rows: Tensor,
        draws: DepthDraws | None = None,
    ) -> Tensor:
        """Output tokens of the given packed rows (see `layout`), after the final norm; the same as from forward_packed.

        The last feed-forward branch and the final norm, which no other token looks at, are computed for these rows
        alone.
        Shapes: rows [W] -> [W, D].
        """
        x, layout = self._embed(images, masks)
        steps = list(zip(self.blocks, self._draws(layout, draws), self._rotations(images), strict=True))
        for block, draw, rotary in steps[:-1]:
            x = self._run(block, x, layout, rotary, draw)
        block, draw, rotary = steps[-1]
        out: Tensor = self.norm(self._run(block, x, layout, rotary, draw, rows))
        return out

    @property
    def prefix_tokens(self) -> int:
        """Tokens before the patches: CLS and registers."""
        return 1 + self.num_register_tokens

    def layout(self, images: Sequence[Tensor]) -> PackedLayout:
        """Where the tokens of each crop group will lie in the packed matrix."""
        grids = [self.patch_embed.grid(group) for group in images]
        prefix = self.prefix_tokens
        return PackedLayout(tuple((len(group), prefix + h * w) for group, (h, w) in zip(images, grids, strict=True)))

    def intermediate(self, images: Tensor, blocks: Sequence[int], norm: bool = True) -> list[Features]:
        """Outputs of the given blocks (0 = first, negative from the end), after the final norm or as they are."""
        x, layout = self._embed([images], [None])
        wanted = [index % self.depth for index in blocks]
        outputs: dict[int, Features] = {}
        for index, (block, rotary) in enumerate(zip(self.blocks, self._rotations([images]), strict=True)):
            x = block(x, layout, rotary)
            if index in wanted:
                outputs[index] = self._features(x, layout, norm)[0]
        return [outputs[index] for index in wanted]

    def drop_path_rates(self) -> list[float]:
        """The stochastic-depth rate of every block."""
        rate, depth = self.settings.drop_path_rate, self.depth
        if self.settings.drop_path_uniform:
            return [rate] * depth
        return [rate * index / max(depth - 1, 1) for index in range(depth)]

    def _forward_packed(
        self, images: Sequence[Tensor], masks: Sequence[Tensor | None], draws: DepthDraws | None
    ) -> list[Features]:
        x, layout = self._embed(images, masks)
        for block, draw, rotary in zip(self.blocks, self._draws(layout, draws), self._rotations(images), strict=True):
            x = self._run(block, x, layout, rotary, draw)
        return self._features(x, layout)

    def _run(self, block: nn.Module, *given: Any) -> Tensor:
        """One block, which keeps what its backward pass needs, or only its input."""
        if self.settings.recompute and self.training and torch.is_grad_enabled():
            return cast(Tensor, checkpoint(block, *given, use_reentrant=False, preserve_rng_state=False))
        return cast(Tensor, block(*given))

    def _draws(self, layout: PackedLayout, given: DepthDraws | None) -> DepthDraws:
        """The given draws, or fresh ones in training, or none; on the model's device."""
        rates = self.drop_path_rates() if self.training else [0.0] * self.depth
        draws = given if given is not None else draw_depth(rates, [samples for samples, _ in layout.groups])
        return draws_on(draws, self.cls_token.device)

    def _embed(self, images: Sequence[Tensor], masks: Sequence[Tensor | None]) -> tuple[Tensor, PackedLayout]:
        """Packed input tokens of all groups."""
        return pack([self._tokens(group, mask) for group, mask in zip(images, masks, strict=True)])

    def _tokens(self, images: Tensor, mask: Tensor | None) -> Tensor:
        """Input tokens of one group. Shapes: [B, 1 + R + N, D]."""
        patches = self.patch_embed(images)
        if mask is not None:
            patches = torch.where(mask.unsqueeze(-1), self.mask_token.to(patches.dtype), patches)
        cls: Tensor = self.cls_token
        if self.pos_embed is not None:
            table = resample_position_table(self.pos_embed, self.patch_embed.grid(images), self.resampling)
            patches, cls = patches + table[:, 1:], cls + table[:, :1]
        B = images.shape[0]
        prefix = [cls.expand(B, -1, -1)]
        if self.register_tokens is not None:
            prefix.append(self.register_tokens.expand(B, -1, -1))
        return torch.cat([*prefix, patches], dim=1)

    def _rotations(self, images: Sequence[Tensor]) -> Iterator[list[RotaryTables] | None]:
        """Rotations of each group, one list per block: the same for all blocks, or drawn afresh in training."""
        rope, prefix, tables = self.rope_embed, self.prefix_tokens, None
        for _ in range(self.depth):
            if rope is not None and (tables is None or rope.draws_afresh):
                tables = [rope.tables(self.patch_embed.grid(group), prefix) for group in images]
            yield tables

    def _features(self, x: Tensor, layout: PackedLayout, norm: bool = True) -> list[Features]:
        normed = self.norm(x) if norm else x
        R = self.num_register_tokens
        return [
            Features(cls=y[:, 0], registers=y[:, 1 : 1 + R], patches=y[:, 1 + R :], prenorm=raw)
            for y, raw in zip(layout.split(normed), layout.split(x), strict=True)
        ]

    def _initialise(self) -> None:
        """Official initial values; the patch projection keeps torch's default."""
        truncated_normal_linears(self)
        nn.init.normal_(self.cls_token, std=1e-6)
        nn.init.zeros_(self.mask_token)
        if self.pos_embed is not None:
            nn.init.trunc_normal_(self.pos_embed, std=0.02)
        if self.register_tokens is not None:
            nn.init.normal_(self.register_tokens, std=1e-6)
