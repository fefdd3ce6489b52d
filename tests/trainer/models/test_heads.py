"""Prototype heads: unit features, weight norm, plain prototypes."""

from __future__ import annotations

import pytest
import torch

from trainer.models.heads import HeadSettings, PrototypeHead


@pytest.mark.parametrize("weight_norm", [True, False])
def test_logits_are_products_of_unit_features_and_prototypes(weight_norm: bool) -> None:
    torch.manual_seed(0)
    head = PrototypeHead(8, HeadSettings(prototypes=20, hidden_dim=16, bottleneck_dim=4, weight_norm=weight_norm))
    tokens = torch.randn(5, 8)
    torch.testing.assert_close(head.bottleneck(tokens).norm(dim=-1), torch.ones(5))
    torch.testing.assert_close(head(tokens), head.bottleneck(tokens) @ head.prototypes().T)
    assert set(head.last_layer.state_dict()) == ({"weight_g", "weight_v"} if weight_norm else {"weight"})


def test_weight_normed_prototypes_have_the_learned_length() -> None:
    head = PrototypeHead(8, HeadSettings(prototypes=20, hidden_dim=16, bottleneck_dim=4))
    with torch.no_grad():
        head.last_layer.weight_g.uniform_(0.5, 2.0)
    torch.testing.assert_close(head.prototypes().norm(dim=1, keepdim=True), head.last_layer.weight_g)
    assert head.last_layer.weight_g.requires_grad
