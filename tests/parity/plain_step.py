"""A DINOv2 training step written once more, in float64, without any of trainer's code: each part in its plainest form.

Separate forward passes per crop group, whole logits, all ranks in one process, AdamW and clipping spelled out. Sources:
DINOv2 (arXiv 2304.07193, section 4), iBOT (arXiv 2111.07832), KoLeo (arXiv 1806.03198), Gram anchoring (DINOv3, arXiv
2508.10104, section 4). Dimensions: B images of a rank, M masked patches, D width, K prototypes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as nn
from tests.parity.plain_vit import Kept, PlainVit, below, head
from torch import Tensor


@dataclass(frozen=True)
class PlainBatch:
    """What one rank sees: global crops [2 * B, ...], local crops [L * B, ...], masks [2 * B, N], and given draws.

    kept, coordinates: of stochastic depth and of distorted rotary positions, for global and for local crops.
    """

    global_crops: Tensor
    local_crops: Tensor
    masks: Tensor
    kept: tuple[Kept, Kept] = (None, None)
    coordinates: tuple[Sequence[Tensor] | None, Sequence[Tensor] | None] = (None, None)


@dataclass(frozen=True)
class PlainWeights:
    """Weights of the losses, the student's temperature, and how KoLeo looks for neighbours."""

    dino: float = 1.0
    ibot: float = 1.0
    koleo: float = 0.1
    min_distance: float = 0.0
    distributed: bool = False
    student_temp: float = 0.1


@dataclass
class PlainGram:
    """Gram anchoring: the teacher's backbone at some steps, and the crops' enlargement."""

    weight: float
    taken_at: Sequence[int]
    enlarge: float = 1.0
    anchor: dict[str, Tensor] = field(default_factory=dict)


def sinkhorn_knopp(logits: Tensor, temperature: float, rounds: int = 3) -> Tensor:
    """Assignments with equal shares of every prototype. Shapes: [n, K]."""
    shares = torch.exp(logits / temperature).T
    prototypes, samples = shares.shape
    shares = shares / shares.sum()
    for _ in range(rounds):
        shares = shares / shares.sum(1, keepdim=True) / prototypes
        shares = shares / shares.sum(0, keepdim=True) / samples
    return (shares * samples).T


def koleo(features: Tensor, everyone: Tensor, first: int, min_distance: float) -> Tensor:
    """Minus the mean log distance of every row to its nearest; row i is row first + i of everyone. Shapes: [B, D]."""
    units, others = (nn.normalize(x, dim=-1, eps=1e-8) for x in (features, everyone))
    total = torch.zeros((), dtype=torch.float64)
    for row, unit in enumerate(units):
        likeness = (others @ unit).detach().clone()
        likeness[first + row] = -2
        distance = (unit - others[likeness.argmax()] + 1e-8).norm()
        total = total - torch.log(torch.clamp(distance, min=min_distance) + 1e-8)
    return total / len(units)


def cosines(patches: Tensor) -> Tensor:
    """Likeness of every pair of patches of an image. Shapes: [B, N, D] -> [B, N, N]."""
    units = patches / patches.norm(dim=-1, keepdim=True)
    return torch.einsum("bnd,bmd->bnm", units, units)


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
    patch_embed: float
    weights: PlainWeights = PlainWeights()
    gram: PlainGram | None = None

    def __post_init__(self) -> None:
        self.moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in self.student.items()}
        self.steps = 0
        self.patch_head = "dino_head" if self.shared else "ibot_head"
        self.first = 1 + self.vit.registers

    def losses(self, ranks: Sequence[PlainBatch], temperature: float) -> dict[str, Tensor]:
        """The terms as back-propagated, means over ranks."""
        if self.gram is not None and self.steps in self.gram.taken_at:
            self.gram.anchor = {name: p.clone() for name, p in below(self.teacher, "backbone").items()}
        image, patch = self._targets(ranks, temperature)
        backbone = below(self.student, "backbone")
        seen = [self.vit(backbone, b.global_crops, b.masks, b.kept[0], b.coordinates[0]) for b in ranks]
        totals: dict[str, Tensor] = {}
        for rank, (batch, tokens) in enumerate(zip(ranks, seen, strict=True)):
            terms = self._image_terms(batch, tokens, image[rank])
            terms["ibot"] = self.weights.ibot * self._patch_term(batch, tokens, patch[rank])
            terms["koleo"] = self.weights.koleo * self._spread(seen, rank)
            if self.gram is not None:
                terms["gram"] = self.gram.weight * self._gram_term(self.gram, batch, tokens)
            for name, value in terms.items():
                totals[name] = totals.get(name, torch.zeros(())) + value / len(ranks)
        return totals

    @torch.no_grad()
    def _targets(self, ranks: Sequence[PlainBatch], temperature: float) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Of class tokens and of masked patches, balanced or centered over all ranks, by rank."""
        images, patches = [], []
        for batch in ranks:
            tokens = self.vit(below(self.teacher, "backbone"), batch.global_crops)
            images.append(head(below(self.teacher, "dino_head"), tokens[:, 0]))
            patches.append(head(below(self.teacher, self.patch_head), tokens[:, self.first :][batch.masks]))
        image, patch = torch.cat(images), torch.cat(patches)
        if self.centers is None:
            image, patch = sinkhorn_knopp(image, temperature), sinkhorn_knopp(patch, temperature)
        else:
            image, patch = self.centers.targets(image, patch, temperature)
        return image.split([len(x) for x in images]), patch.split([len(x) for x in patches])

    def _logs(self, name: str, features: Tensor) -> Tensor:
        return (head(below(self.student, name), features) / self.weights.student_temp).log_softmax(-1)

    def _image_terms(self, batch: PlainBatch, tokens: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Every crop against the teacher's other views."""
        views = batch.local_crops.shape[0] // (batch.global_crops.shape[0] // 2)
        pairs = 2 + 2 * views
        local = torch.zeros((), dtype=torch.float64)
        if views:
            backbone = below(self.student, "backbone")
            small = self.vit(backbone, batch.local_crops, None, batch.kept[1], batch.coordinates[1])[:, 0]
            for view in self._logs("dino_head", small).chunk(views):
                local = local + sum(-(target * view).sum(-1).mean() for target in targets.chunk(2)) / pairs
        swapped = torch.cat(targets.chunk(2)[::-1])
        whole = -(swapped * self._logs("dino_head", tokens[:, 0])).sum(-1).mean()
        return {"dino_local": self.weights.dino * local, "dino_global": self.weights.dino * 2 * whole / pairs}

    def _patch_term(self, batch: PlainBatch, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean over all crops of the mean over the masked patches of each."""
        masks = batch.masks
        masked = -(targets * self._logs(self.patch_head, tokens[:, self.first :][masks])).sum(-1)
        share = (1 / masks.sum(-1).clamp(min=1).double())[:, None].expand_as(masks)[masks]
        return (masked * share).sum() / len(masks)

    def _spread(self, seen: Sequence[Tensor], rank: int) -> Tensor:
        """KoLeo of both global crops, with neighbours on this rank or on all."""
        total = torch.zeros((), dtype=torch.float64)
        for crop in range(2):
            by_rank = [tokens[:, 0].chunk(2)[crop] for tokens in seen]
            own, first = by_rank[rank], sum(len(rows) for rows in by_rank[:rank])
            everyone, first = (torch.cat(by_rank), first) if self.weights.distributed else (own, 0)
            total = total + koleo(own, everyone, first, self.weights.min_distance)
        return total

    def _gram_term(self, gram: PlainGram, batch: PlainBatch, tokens: Tensor) -> Tensor:
        """Mean squared difference to the anchor's likenesses; 0 before there is an anchor."""
        if not gram.anchor:
            return torch.zeros((), dtype=torch.float64)
        crops, side = batch.global_crops, batch.global_crops.shape[-1] // self.vit.patch
        with torch.no_grad():
            if gram.enlarge == 1:
                wanted = self.vit(gram.anchor, crops)[:, self.first :]
            else:
                large = nn.interpolate(crops, scale_factor=gram.enlarge, mode="bicubic")
                maps = (
                    self.vit(gram.anchor, large)[:, self.first :]
                    .transpose(1, 2)
                    .unflatten(2, (-1, round(side * gram.enlarge)))
                )
                maps = nn.interpolate(maps, size=(side, side), mode="bicubic", antialias=True)
                wanted = maps.flatten(2).transpose(1, 2)
        return ((cosines(tokens[:, self.first :]) - cosines(wanted)) ** 2).mean()

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
        """Layer-wise decay, and less for the patch embedding."""
        if not name.startswith("backbone."):
            return 1.0
        depth = self.vit.depth(below(self.student, "backbone"))
        if short.startswith("blocks."):
            layer = int(short.split(".")[1]) + 1
        else:
            layer = depth + 1 if short.startswith("norm") else 0
        return self.decay ** (depth + 1 - layer) * (self.patch_embed if "patch_embed" in short else 1.0)
