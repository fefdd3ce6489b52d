"""One packed pass equals separate passes, for every option of the backbone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from contracts.errors import ConfigError
from trainer.layers.stochastic_depth import draw_depth
from trainer.models.sizes import build_vit
from trainer.models.vision_transformer import VisionTransformer

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "registers": {"registers": 2, "resampling": "official_registers"},
    "swiglu": {"ffn": "swiglu", "layer_scale": None},
    "rope": {"position": "rope", "registers": 1},
    "grey": {"in_channels": 1},
    "nested": {"attention": "nested"},
}


def crops(channels: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = [(4, 32), (6, 16)]
    return [torch.randn(b, channels, s, s, generator=generator) for b, s in sizes]


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_packed_equals_separate(name: str) -> None:
    torch.manual_seed(0)
    model = build_vit("vitn8", image_size=32, **OPTIONS[name]).eval()
    groups = crops(model.in_channels)
    mask = torch.rand(4, 16) > 0.5
    packed = model.forward_packed(groups, [mask, None])
    for out, alone in zip(packed, [model(groups[0], mask), model(groups[1])], strict=True):
        torch.testing.assert_close(out.cls, alone.cls, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(out.patches, alone.patches, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(out.registers, alone.registers, atol=1e-5, rtol=1e-4)
    assert packed[0].patches.shape == (4, 16, 128)
    assert packed[0].prenorm.shape == (4, 1 + model.num_register_tokens + 16, 128)
    torch.testing.assert_close(model.norm(packed[1].prenorm)[:, 0], packed[1].cls, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_every_parameter_is_trained(name: str) -> None:
    torch.manual_seed(0)
    model = build_vit("vitn8", image_size=32, drop_path_rate=0.3, **OPTIONS[name]).train()
    outputs = model.forward_packed(crops(model.in_channels), [torch.rand(4, 16) > 0.5, None])
    torch.stack([out.cls.square().sum() + out.patches.square().sum() for out in outputs]).sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_masked_patches_do_not_see_their_image() -> None:
    torch.manual_seed(0)
    model = build_vit("vitn8", image_size=32).eval()
    images, mask = crops()[0], torch.ones(4, 16, dtype=torch.bool)
    torch.testing.assert_close(model(images, mask).patches, model(torch.zeros_like(images), mask).patches)
    assert (model(images).patches - model(images, mask).patches).abs().max() > 1e-3


def test_stochastic_depth_happens_in_training_and_can_be_injected() -> None:
    torch.manual_seed(0)
    model = build_vit("vitn8", image_size=32, drop_path_rate=0.5, layer_scale=1.0)
    groups = crops()
    still = model.eval().forward_packed(groups, [None, None])
    model.train()
    torch.manual_seed(3)
    drawn = model.forward_packed(groups, [None, None])
    torch.manual_seed(3)
    given = model.forward_packed(groups, [None, None], draw_depth(model.drop_path_rates(), [4, 6]))
    assert torch.equal(drawn[0].cls, given[0].cls)
    assert (drawn[0].cls - still[0].cls).abs().max() > 1e-2


def test_drop_path_grows_linearly_where_asked() -> None:
    model = build_vit("vitn8", image_size=32, drop_path_rate=0.3, drop_path_uniform=False)
    assert model.drop_path_rates() == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_intermediate_outputs_are_those_of_the_blocks_asked_for() -> None:
    torch.manual_seed(0)
    model = build_vit("vitn8", image_size=32, registers=1, layer_scale=1.0).eval()
    images = crops()[0]
    first, last = model.intermediate(images, [0, -1])
    torch.testing.assert_close(last.patches, model(images).patches)
    assert (first.patches - last.patches).abs().max() > 1e-5


@pytest.mark.parametrize(
    ("arch", "millions", "fields"),
    [("vits14", 21, {}), ("vitb14", 86, {}), ("vitl14", 303, {}), ("vitg14", 1135, {})],
)
def test_published_parameter_counts(arch: str, millions: int, fields: dict[str, Any]) -> None:
    with torch.device("meta"):
        model = build_vit(arch, image_size=224, **fields)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6) == pytest.approx(millions, abs=1)


def test_a_size_that_does_not_fit_the_patches_is_refused() -> None:
    with pytest.raises(ConfigError, match="225 px is not a multiple of the patch size 14 px"):
        build_vit("vits14", image_size=225)
    with pytest.raises(ConfigError, match="learned, rope"):
        build_vit("vits14", position="sinus")


def test_initial_values() -> None:
    torch.manual_seed(0)
    model = build_vit("vitn8", image_size=32, registers=2)
    assert isinstance(model, VisionTransformer)
    assert model.cls_token.abs().max() < 1e-4
    assert model.mask_token.abs().max() == 0
    assert model.blocks[0].ls1.gamma.unique().tolist() == pytest.approx([1e-5])
    assert model.blocks[0].attn.qkv.weight.std().item() == pytest.approx(0.0176, abs=0.003)


@pytest.mark.parametrize("name", sorted(OPTIONS))
@pytest.mark.parametrize("drop_path_rate", [0.0, 0.5])
def test_chosen_rows_are_those_of_the_whole_output(name: str, drop_path_rate: float) -> None:
    torch.manual_seed(0)
    model = build_vit(
        "vitn8", **{"image_size": 32, "layer_scale": 0.5, "drop_path_rate": drop_path_rate, **OPTIONS[name]}
    )
    groups, mask = crops(model.in_channels), torch.rand(4, 16) > 0.5
    chosen = mask.flatten().nonzero().squeeze(1)
    draws = draw_depth(model.drop_path_rates(), [4, 6])
    layout = model.layout(groups)
    rows = [layout.token_rows(group, 0, mask.device) for group in (0, 1)]
    rows.append(layout.patch_rows(0, chosen, model.prefix_tokens))
    ours = model.forward_rows(groups, [mask, None], torch.cat(rows), draws)
    whole = model.forward_packed(groups, [mask, None], draws)
    theirs = torch.cat([whole[0].cls, whole[1].cls, whole[0].patches.flatten(0, 1)[chosen]])
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    weight = torch.randn_like(ours)
    gradients = [torch.autograd.grad((out * weight).sum(), model.parameters()) for out in (ours, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-3)
