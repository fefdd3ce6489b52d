"""Floating-point operations of a training step, by formula: what MFU and a plan's time are worked out from.

Counted are the matrix products that the recipe needs: a product [a, b] x [b, c] is 2abc; where gradients flow it counts
three times (forward, and two in backward), in the patch projection twice, since crops need no gradient. A residual
branch counts for the samples that stochastic depth keeps, the last feed-forward branch for the tokens that losses look
at. Not counted: norms, softmax, GELU, Sinkhorn-Knopp, KoLeo, optimiser, moving average, and whatever is computed twice
to save memory, as model FLOPs leave it out (arXiv 2204.02311, appendix B).
Dimensions: B images, N tokens of a crop, D width, M masked patches of all global crops, K prototypes, H bottleneck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from trainer.layers.feed_forward import swiglu_hidden_dim
from trainer.layers.stochastic_depth import kept_samples
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.models.heads import HeadSettings
from trainer.models.vision_transformer import VitSettings


@dataclass(frozen=True)
class StepSizes:
    """The images of one forward pass and what is cut of them; `masked_patches` is M, or its mean over many batches."""

    images: int
    global_px: int
    local_crops: int
    local_px: int
    masked_patches: float


@dataclass(frozen=True)
class StepFlops:
    """Operations of forward and backward passes over `StepSizes.images` images; `gram` is the anchor's forward pass."""

    student: float
    teacher: float
    heads: float
    prototypes: float
    gram: float = 0.0

    @property
    def total(self) -> float:
        """All of them."""
        return self.student + self.teacher + self.heads + self.prototypes + self.gram


def step_flops(settings: DinoV2Settings, sizes: StepSizes) -> StepFlops:
    """Operations of the DINOv2 recipe over one micro-batch."""
    vit, B, M = settings.backbone, sizes.images, sizes.masked_patches
    patches = _patches(vit, sizes.global_px)
    groups = [(2 * B, patches)]
    if sizes.local_crops:
        groups.append((sizes.local_crops * B, _patches(vit, sizes.local_px)))
    class_tokens = sum(samples for samples, _ in groups)
    rest = backbone_flops(vit, groups, class_tokens + M + (2 * B * patches if settings.gram else 0), training=True)
    student = 3 * rest + 2 * embedding_flops(vit, groups)
    teacher = backbone_flops(vit, groups[:1], 2 * B + M) + embedding_flops(vit, groups[:1])
    dino, ibot = settings.dino_head, settings.ibot_head or settings.dino_head
    heads = (3 * class_tokens + 2 * B) * head_flops(vit.embed_dim, dino) + 4 * M * head_flops(vit.embed_dim, ibot)
    prototypes = (3 * class_tokens + 2 * B) * _logit_flops(dino) + 4 * M * _logit_flops(ibot)
    return StepFlops(student, teacher, heads, prototypes, _gram_flops(settings, B, patches))


def backbone_flops(
    settings: VitSettings, groups: Sequence[tuple[int, int]], chosen: float, training: bool = False
) -> float:
    """A forward pass through all blocks; the last feed-forward branch for `chosen` tokens.

    `groups`: samples and patches of each crop group. `training`: stochastic depth leaves out its share.
    """
    s, D = settings, settings.embed_dim
    rates = [0.0] * s.depth
    if training:
        rates = [s.drop_path_rate * (1 if s.drop_path_uniform else i / max(s.depth - 1, 1)) for i in range(s.depth)]
    per_token = feed_forward_flops(s)
    total = chosen * per_token
    for index, rate in enumerate(rates):
        for samples, patches in groups:
            N = 1 + s.registers + patches
            kept = kept_samples(samples, rate) if rate else samples
            projections, products = N * 2 * D * (3 * D + D), 2 * 2 * N * N * D
            total += kept * (projections + products)
            total += kept * N * per_token if index < s.depth - 1 else 0
    return total


def embedding_flops(settings: VitSettings, groups: Sequence[tuple[int, int]]) -> float:
    """The patch projection of all crops, forward."""
    pixels = settings.in_channels * settings.patch_size**2
    return sum(samples * patches for samples, patches in groups) * 2.0 * pixels * settings.embed_dim


def feed_forward_flops(settings: VitSettings) -> float:
    """A feed-forward layer for one token, forward."""
    D = settings.embed_dim
    if settings.ffn == "swiglu":
        return 2.0 * 3 * D * swiglu_hidden_dim(D, settings.mlp_ratio)
    return 2.0 * 2 * D * int(D * settings.mlp_ratio)


def head_flops(embed_dim: int, head: HeadSettings) -> float:
    """A head's hidden layers for one token, forward."""
    widths = [embed_dim, *[head.hidden_dim] * (head.layers - 1), head.bottleneck_dim]
    return 2.0 * sum(a * b for a, b in pairwise(widths))


def _logit_flops(head: HeadSettings) -> float:
    return 2.0 * head.bottleneck_dim * head.prototypes


def _gram_flops(settings: DinoV2Settings, images: int, patches: int) -> float:
    """The anchor's forward pass, and similarities of patches: of the anchor's forward, of the student's three times."""
    if settings.gram is None:
        return 0.0
    enlarged = round(patches**0.5 * settings.gram.enlarge) ** 2
    groups = [(2 * images, enlarged)]
    every = 2 * images * (1 + settings.backbone.registers + enlarged)
    forward = backbone_flops(settings.backbone, groups, every) + embedding_flops(settings.backbone, groups)
    return forward + 4 * 2 * images * 2 * patches**2 * settings.backbone.embed_dim


def _patches(settings: VitSettings, side_px: int) -> int:
    return (side_px // settings.patch_size) ** 2
