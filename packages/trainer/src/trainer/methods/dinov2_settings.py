"""Everything that defines a DINOv2 method, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainer.methods.gram_anchor import GramSettings
from trainer.models.heads import HeadSettings
from trainer.models.vision_transformer import VitSettings


@dataclass(frozen=True)
class DinoV2Settings:
    """Models, loss weights and learning-rate multipliers.

    `ibot_head` None shares the DINO head with the patches (the released short recipe); `centering` names a target maker
    of methods/target_makers.py. `koleo_min_distance` is the distance of unit vectors below which a pair counts as one
    image seen twice and gets no gradient (0 = official); `koleo_distributed` looks for neighbours on all ranks.
    `gram` None leaves Gram anchoring out.
    """

    backbone: VitSettings
    dino_head: HeadSettings = field(default_factory=HeadSettings)
    ibot_head: HeadSettings | None = None
    centering: str = "sinkhorn_knopp"
    student_temp: float = 0.1
    dino_weight: float = 1.0
    ibot_weight: float = 1.0
    koleo_weight: float = 0.1
    koleo_min_distance: float = 1e-4
    koleo_distributed: bool = False
    gram: GramSettings | None = None
    layerwise_decay: float = 0.9
    patch_embed_multiplier: float = 0.2
