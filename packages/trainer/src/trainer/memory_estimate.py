"""How much memory a training step takes, from sizes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trainer.config.pretrain import PretrainConfig
from trainer.recipe import backbone_settings

GIB = 2**30
# Values kept per token, block and unit of width for the backward pass: both norms' inputs and outputs (4), q, k, v (3),
# attention output (1), the two branch outputs before LayerScale (2), hidden layer before and after GELU (8).
_KEPT_PER_TOKEN = 18


@dataclass(frozen=True)
class MemoryEstimate:
    """Estimated GiB of a step: weights (student, gradients, two moments, teacher) and activations of the student."""

    weights_gib: float
    activations_gib: float

    @property
    def total_gib(self) -> float:
        """Both together."""
        return self.weights_gib + self.activations_gib


def estimate_memory(
    config: PretrainConfig, parameters: Mapping[str, int], tokens: int, precision: str
) -> MemoryEstimate:
    """Estimate a step whose forward pass holds `tokens` student tokens. An estimate: kernels need workspace on top."""
    settings = backbone_settings(config)
    weights = 5 * 4 * sum(parameters.values())
    bytes_per_value = 2 if precision == "bf16" else 4
    kept = 1 - settings.drop_path_rate
    activations = tokens * settings.depth * settings.embed_dim * _KEPT_PER_TOKEN * bytes_per_value * kept
    return MemoryEstimate(round(weights / GIB, 3), round(activations / GIB, 3))
