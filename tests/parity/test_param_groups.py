"""Every parameter has the official learning-rate and weight-decay multipliers."""

from __future__ import annotations

import pytest
from tests.parity.named_tensors import numbers
from torch import nn

from trainer.models.heads import HeadSettings, PrototypeHead
from trainer.models.sizes import build_vit
from trainer.optim.param_groups import GroupSettings, backbone_rates, head_rates, parameter_groups

NUMBERS = numbers("param_groups")
SETTINGS = GroupSettings(depth=12)


def test_backbone_multipliers() -> None:
    model = build_vit("vits14", image_size=518, registers=4)
    names = [name for name, _ in model.named_parameters()]
    assert sorted(names) == sorted(NUMBERS["vits14_reg4"])
    for name in names:
        expected, rates = NUMBERS["vits14_reg4"][name], backbone_rates(name, SETTINGS)
        assert rates.lr_multiplier == pytest.approx(expected["lr"], rel=1e-12), name
        assert (rates.wd_multiplier, rates.is_last_layer) == (expected["wd"], expected["last"]), name
    groups = parameter_groups(nn.ModuleDict({"backbone": model}), SETTINGS)
    assert len(groups) == NUMBERS["vits14_reg4_n_fused_groups"]
    assert sum(len(group["params"]) for group in groups) == len(names)


def test_head_multipliers() -> None:
    head = PrototypeHead(8, HeadSettings(prototypes=4, hidden_dim=8, bottleneck_dim=4))
    assert sorted(name for name, _ in head.named_parameters()) == sorted(NUMBERS["dino_head"])
    for name, expected in NUMBERS["dino_head"].items():
        rates = head_rates(name)
        assert (rates.lr_multiplier, rates.wd_multiplier, rates.is_last_layer) == (
            expected["lr"],
            expected["wd"],
            expected["last"],
        ), name
