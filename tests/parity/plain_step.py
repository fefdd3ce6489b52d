"""A DINOv2 training step written once more, in float64, without any of trainer's code: each part in its plainest form.

Separate forward passes per crop group, whole logits, attention by hand, AdamW and clipping spelled out. Sources: DINOv2
(arXiv 2304.07193, section 4), iBOT (arXiv 2111.07832), KoLeo (arXiv 1806.03198), stochastic depth on sub-batches.
Dimensions: B images per group, N tokens, D width, K prototypes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
class PlainVit:
    """Sizes of a ViT. `offset`: added to the grid before positions are resized, as the released code does."""

    heads: int
    patch: int
    grid: int
    registers: int
    swiglu: bool
    offset: float
    antialias: bool

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

    def __call__(self, weights: Weights, images: Tensor, masks: Tensor | None, kept: Kept) -> Tensor:
        """Tokens after the last norm: class, registers, patches. Shapes: [B, C, H, W] -> [B, 1 + R + N, D]."""
        batch, _, height, width = images.shape
        height, width = height // self.patch, width // self.patch
        projection = weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"]
        tokens = nn.conv2d(images, *projection, stride=self.patch).flatten(2).transpose(1, 2)
        if masks is not None:
            tokens = torch.where(masks[..., None], weights["mask_token"][None], tokens)
        tokens = torch.cat([weights["cls_token"].expand(batch, -1, -1), tokens], 1)
        tokens = tokens + self.positions(weights, height, width)
        if self.registers:
            extra = weights["register_tokens"].expand(batch, -1, -1)
            tokens = torch.cat([tokens[:, :1], extra, tokens[:, 1:]], 1)
        for number in range(len({key.split(".")[1] for key in weights if key.startswith("blocks.")})):
            block, chosen = below(weights, f"blocks.{number}"), kept[number] if kept else None
            for place, branch in enumerate((self._attention, self._feed_forward)):
                if chosen is None:
                    tokens = tokens + branch(block, tokens)
                else:
                    rows = chosen[place]
                    tokens = tokens.index_add(0, rows, branch(block, tokens[rows]) * (batch / len(rows)))
        return _norm(weights, "norm", tokens)

    def _attention(self, block: Weights, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        normed = _norm(block, "norm1", tokens)
        together = nn.linear(normed, block["attn.qkv.weight"], block["attn.qkv.bias"])
        query, key, value = together.reshape(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        share = (query @ key.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(-1)
        mixed = (share @ value).transpose(1, 2).reshape(batch, count, width)
        return nn.linear(mixed, block["attn.proj.weight"], block["attn.proj.bias"]) * block["ls1.gamma"]

    def _feed_forward(self, block: Weights, tokens: Tensor) -> Tensor:
        normed = _norm(block, "norm2", tokens)
        if self.swiglu:
            gate, up = nn.linear(normed, block["mlp.w12.weight"], block["mlp.w12.bias"]).chunk(2, -1)
            out = nn.linear(nn.silu(gate) * up, block["mlp.w3.weight"], block["mlp.w3.bias"])
        else:
            hidden = nn.gelu(nn.linear(normed, block["mlp.fc1.weight"], block["mlp.fc1.bias"]))
            out = nn.linear(hidden, block["mlp.fc2.weight"], block["mlp.fc2.bias"])
        return out * block["ls2.gamma"]


def _norm(weights: Weights, name: str, tokens: Tensor) -> Tensor:
    return nn.layer_norm(tokens, tokens.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6)


def head(weights: Weights, tokens: Tensor) -> Tensor:
    """Logits of prototypes. Shapes: [n, D] -> [n, K]."""
    layers = sorted({int(key.split(".")[1]) for key in weights if key.startswith("mlp.")})
    for number in layers:
        tokens = nn.linear(tokens, weights[f"mlp.{number}.weight"], weights.get(f"mlp.{number}.bias"))
        if number != layers[-1]:
            tokens = nn.gelu(tokens)
    tokens = nn.normalize(tokens, dim=-1, eps=1e-12)
    if "last_layer.weight_g" not in weights:
        return tokens @ weights["last_layer.weight"].T
    direction = weights["last_layer.weight_v"]
    return tokens @ (weights["last_layer.weight_g"] * direction / direction.norm(dim=1, keepdim=True)).T


def sinkhorn_knopp(logits: Tensor, temperature: float, rounds: int = 3) -> Tensor:
    """Assignments with equal shares of every prototype. Shapes: [n, K]."""
    shares = torch.exp(logits / temperature).T
    prototypes, samples = shares.shape
    shares = shares / shares.sum()
    for _ in range(rounds):
        shares = shares / shares.sum(1, keepdim=True) / prototypes
        shares = shares / shares.sum(0, keepdim=True) / samples
    return (shares * samples).T


def koleo(features: Tensor) -> Tensor:
    """Minus the mean log distance of every row to its nearest. Shapes: [B, D]."""
    units = nn.normalize(features, dim=-1, eps=1e-8)
    likeness = (units @ units.T).detach().clone()
    likeness.fill_diagonal_(-1)
    return -torch.log(nn.pairwise_distance(units, units[likeness.argmax(1)], 2, 1e-8) + 1e-8).mean()


@dataclass
class Centers:
    """Moving means of the teacher's logits; those of a step take effect in the next one."""

    image: Tensor
    patch: Tensor
    pending: tuple[Tensor, Tensor] | None = None

    def targets(self, image: Tensor, patch: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Centered and sharpened."""
        if self.pending is not None:
            self.image = 0.9 * self.image + 0.1 * self.pending[0]
            self.patch = 0.9 * self.patch + 0.1 * self.pending[1]
        self.pending = image.mean(0, keepdim=True), patch.mean(0, keepdim=True)
        return ((image - self.image) / temperature).softmax(-1), ((patch - self.patch) / temperature).softmax(-1)


@dataclass
class PlainStep:
    """Student, teacher and optimiser of the plain step. `centers` None: Sinkhorn-Knopp. `shared`: one head for both."""

    vit: PlainVit
    student: dict[str, Tensor]
    teacher: dict[str, Tensor]
    shared: bool
    centers: Centers | None
    decay: float
    depth: int

    def __post_init__(self) -> None:
        self.moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in self.student.items()}
        self.steps = 0

    def losses(
        self, crops: tuple[Tensor, Tensor], masks: Tensor, temperature: float, kept: tuple[Kept, Kept]
    ) -> dict[str, Tensor]:
        """The terms as back-propagated. `crops`, `kept`: of global and local crops."""
        first = 1 + self.vit.registers
        patch_head = "dino_head" if self.shared else "ibot_head"
        with torch.no_grad():
            seen = self.vit(below(self.teacher, "backbone"), crops[0], None, None)
            image = head(below(self.teacher, "dino_head"), seen[:, 0])
            patch = head(below(self.teacher, patch_head), seen[:, first:][masks])
            if self.centers is None:
                image_targets, patch_targets = (sinkhorn_knopp(logits, temperature) for logits in (image, patch))
            else:
                image_targets, patch_targets = self.centers.targets(image, patch, temperature)
        tokens = self.vit(below(self.student, "backbone"), crops[0], masks, kept[0])
        views = crops[1].shape[0] // (crops[0].shape[0] // 2)
        pairs = 2 + 2 * views

        def logs(name: str, features: Tensor) -> Tensor:
            return (head(below(self.student, name), features) / 0.1).log_softmax(-1)

        local = torch.zeros((), dtype=torch.float64)
        if views:
            small = self.vit(below(self.student, "backbone"), crops[1], None, kept[1])[:, 0]
            for view in logs("dino_head", small).chunk(views):
                local = local + sum(-(target * view).sum(-1).mean() for target in image_targets.chunk(2)) / pairs
        swapped = torch.cat(image_targets.chunk(2)[::-1])
        whole = -(swapped * logs("dino_head", tokens[:, 0])).sum(-1).mean()
        share = (1 / masks.sum(-1).clamp(min=1))[:, None].expand_as(masks)[masks]
        masked = -(patch_targets * logs(patch_head, tokens[:, first:][masks])).sum(-1)
        return {
            "dino_local": local,
            "dino_global": 2 * whole / pairs,
            "koleo": 0.1 * sum(koleo(crop) for crop in tokens[:, 0].chunk(2)),
            "ibot": (masked * share).sum() / len(masks),
        }

    @torch.no_grad()
    def update(self, knobs: Any, clip: float) -> dict[str, float]:
        """Clip per sub-module, AdamW, moving average. Returns the norms before clipping."""
        self.steps += 1
        norms = {}
        for module in ("backbone", "dino_head", "ibot_head"):
            own = {n: p for n, p in self.student.items() if n.startswith(module + ".") and p.grad is not None}
            if not own:
                continue
            norms[module] = float(torch.sqrt(sum((p.grad**2).sum() for p in own.values())))
            scale = min(1.0, clip / (norms[module] + 1e-6))
            for name, parameter in own.items():
                self._adamw(name, parameter, parameter.grad * scale, knobs)
        for name, slow in self.teacher.items():
            slow.mul_(knobs.teacher_momentum).add_(self.student[name] * (1 - knobs.teacher_momentum))
        return norms

    def _adamw(self, name: str, parameter: Tensor, gradient: Tensor, knobs: Any) -> None:
        short = name.partition(".")[2]
        rate = (knobs.last_layer_lr if "last_layer" in name else knobs.lr) * self._rate_of(name, short)
        decayed = not (name.endswith("bias") or "norm" in short or "gamma" in name)
        parameter.mul_(1 - rate * knobs.weight_decay * decayed)
        mean, square = self.moments[name]
        mean.mul_(0.9).add_(gradient, alpha=0.1)
        square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        unbiased = (square / (1 - 0.999**self.steps)).sqrt() + 1e-8
        parameter.sub_(rate * (mean / (1 - 0.9**self.steps)) / unbiased)

    def _rate_of(self, name: str, short: str) -> float:
        """Layer-wise decay, and a fifth for the patch embedding."""
        if not name.startswith("backbone."):
            return 1.0
        if short.startswith("blocks."):
            layer = int(short.split(".")[1]) + 1
        else:
            layer = self.depth + 1 if short.startswith("norm") else 0
        return self.decay ** (self.depth + 1 - layer) * (0.2 if "patch_embed" in short else 1.0)
