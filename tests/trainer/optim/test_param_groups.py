"""Groups hold every trained parameter once; their multipliers are held in tests/parity."""

from __future__ import annotations

import pytest
from torch import nn

from trainer.models.heads import HeadSettings, PrototypeHead
from trainer.models.sizes import build_vit
from trainer.optim.param_groups import GroupSettings, parameter_groups


@pytest.mark.parametrize("position", ["learned", "rope"])
def test_every_trained_parameter_is_in_one_group(position: str) -> None:
    head = PrototypeHead(128, HeadSettings(prototypes=8, hidden_dim=8, bottleneck_dim=4))
    modules = nn.ModuleDict({"backbone": build_vit("vitn8", image_size=32, position=position), "dino_head": head})
    modules["backbone"].mask_token.requires_grad_(False)  # type: ignore[union-attr]
    groups = parameter_groups(modules, GroupSettings(depth=4))
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in modules.parameters() if p.requires_grad)
    assert [g["is_last_layer"] for g in groups].count(True) == 1


def test_no_layerwise_decay_leaves_three_rates() -> None:
    modules = nn.ModuleDict({"backbone": build_vit("vitn8", image_size=32)})
    groups = parameter_groups(modules, GroupSettings(depth=4, layerwise_decay=1.0, patch_embed_multiplier=0.2))
    assert {g["lr_multiplier"] for g in groups} == {1.0, 0.2}
