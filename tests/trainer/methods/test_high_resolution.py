"""The high-resolution phase starts from what was learnt."""

from __future__ import annotations

import torch

from trainer.methods.dinov2 import DinoV2
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.methods.high_resolution import at_resolution
from trainer.models.heads import HeadSettings
from trainer.models.sizes import vit_settings


def test_everything_but_the_position_table_is_carried_over() -> None:
    torch.manual_seed(0)
    backbone = vit_settings("vitn8", image_size=32, embed_dim=32, depth=1, resampling="huggingface")
    head = HeadSettings(prototypes=8, hidden_dim=8, bottleneck_dim=4)
    coarse = DinoV2(DinoV2Settings(backbone=backbone, dino_head=head, centering="centering")).train()
    fine = at_resolution(coarse, 64)
    assert fine.settings.backbone.image_size == 64
    assert fine.training
    for name, value in coarse.state_dict().items():
        if not name.endswith("pos_embed"):
            assert torch.equal(value, fine.state_dict()[name]), name
    images = torch.randn(2, 3, 64, 64)
    for who in ("student", "teacher"):
        before, after = getattr(coarse, who)["backbone"](images), getattr(fine, who)["backbone"](images)
        torch.testing.assert_close(before.cls, after.cls)
