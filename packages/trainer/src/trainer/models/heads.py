"""Prototype heads: tokens -> unit bottleneck features -> similarities to K prototypes.

Dimensions: M rows (tokens), D width of the backbone, H bottleneck width, K prototypes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.models.initialise import truncated_normal_linears


@dataclass(frozen=True)
class HeadSettings:
    """Shape of a prototype head. Source: DINOv2 (arXiv 2304.07193), Table 16 and the released short configuration."""

    prototypes: int = 65536
    hidden_dim: int = 2048
    bottleneck_dim: int = 256
    layers: int = 3
    weight_norm: bool = True
    mlp_bias: bool = True


class WeightNormedPrototypes(nn.Module):
    """K prototypes of learned length: rows weight_g * weight_v / |weight_v|.

    The length weight_g starts at 1, is trained and decayed, as in the official code.
    `outlives_weights` says that the matrix is used after the weights were given back (engine/shard.py): here it always
    has memory of its own.
    """

    outlives_weights = False

    def __init__(self, in_dim: int, prototypes: int) -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(prototypes, 1))
        self.weight_v = nn.Parameter(nn.Linear(in_dim, prototypes, bias=False).weight.detach())

    def matrix(self) -> Tensor:
        """The prototypes. Shapes: [K, H]."""
        return torch._weight_norm(self.weight_v, self.weight_g, 0)


class PlainPrototypes(nn.Module):
    """K free prototypes, as in DINOv3 (arXiv 2508.10104); where the matrix `outlives_weights`, it is a copy of them."""

    outlives_weights = False

    def __init__(self, in_dim: int, prototypes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(prototypes, in_dim))
        nn.init.trunc_normal_(self.weight, std=0.02)

    def matrix(self) -> Tensor:
        """The prototypes. Shapes: [K, H]."""
        return self.weight.clone() if self.outlives_weights else self.weight


class PrototypeHead(nn.Module):
    """MLP, L2 normalisation, prototypes; parameter names are those of the official DINOHead.

    Losses use `bottleneck` and `prototypes` apart, so that [M, K] is never held whole; `forward` gives the logits.
    Source: DINO (arXiv 2104.14294), section 3.1; DINOv2 (arXiv 2304.07193), appendix B.
    """

    def __init__(self, in_dim: int, settings: HeadSettings) -> None:
        super().__init__()
        self.in_dim = in_dim
        self.settings = settings
        self.mlp = _mlp(in_dim, settings)
        truncated_normal_linears(self)
        kind: type[WeightNormedPrototypes | PlainPrototypes]
        kind = WeightNormedPrototypes if settings.weight_norm else PlainPrototypes
        self.last_layer = kind(settings.bottleneck_dim, settings.prototypes)

    def bottleneck(self, tokens: Tensor) -> Tensor:
        """Unit features before the prototypes. Shapes: [M, D] -> [M, H]."""
        x = self.mlp(tokens)
        eps = 1e-6 if x.dtype == torch.float16 else 1e-12
        return F.normalize(x, dim=-1, eps=eps)

    def prototypes(self) -> Tensor:
        """The prototype matrix, differentiable. Shapes: [K, H]."""
        return self.last_layer.matrix()

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits. Shapes: [M, D] -> [M, K]."""
        return F.linear(self.bottleneck(tokens), self.prototypes())


def _mlp(in_dim: int, settings: HeadSettings) -> nn.Module:
    """A single Linear for one layer, else Linear-GELU-...-Linear."""
    widths = [in_dim, *[settings.hidden_dim] * (settings.layers - 1), settings.bottleneck_dim]
    linears = [nn.Linear(a, b, bias=settings.mlp_bias) for a, b in pairwise(widths)]
    if len(linears) == 1:
        return linears[0]
    parts: list[nn.Module] = []
    for linear in linears:
        parts += [linear, nn.GELU()]
    return nn.Sequential(*parts[:-1])
