"""The backbone gives the official numbers: outputs at several sizes, masked and not, and gradients."""

from __future__ import annotations

import pytest
import torch
from tests.parity.named_tensors import arrays, fill, fingerprint_error, images, masks, numbers, weights

from trainer.layers.position_table import resample_position_table
from trainer.models.vision_transformer import VisionTransformer, VitSettings

NAME = "tiny_swiglu_reg4"
NUMBERS = numbers("architecture")


@pytest.fixture(scope="module")
def model() -> VisionTransformer:
    settings = VitSettings(
        embed_dim=112,
        depth=4,
        num_heads=4,
        image_size=518,
        registers=4,
        ffn="swiglu",
        layer_scale=1.0,
        resampling="official_registers",
    )
    model = VisionTransformer(settings).eval()
    model.load_state_dict(weights(NUMBERS["shapes"], NAME + "/"))
    return model


def test_parameter_names_and_shapes_are_official(model: VisionTransformer) -> None:
    assert {name: list(value.shape) for name, value in model.state_dict().items()} == NUMBERS["shapes"]
    for name, value in model.state_dict().items():
        assert fingerprint_error(value, NUMBERS["param_fingerprints"][name]) < 1e-7, name


@pytest.mark.parametrize("case", sorted(NUMBERS["cases"]))
def test_outputs(model: VisionTransformer, case: str) -> None:
    expected, stored = NUMBERS["cases"][case], arrays("architecture")
    size = case.removeprefix("masked_")
    height, width = map(int, size.split("x"))
    crops = images(f"{NAME}/{size}", expected["images"], height, width)
    mask = masks(f"{NAME}/{size}", len(crops), height * width // 196) if "masked" in expected else None
    with torch.no_grad():
        out = model(crops, mask)
    torch.testing.assert_close(out.cls, stored[f"{case}/cls"], atol=1e-4, rtol=0)
    torch.testing.assert_close(out.registers, stored[f"{case}/registers"], atol=1e-4, rtol=0)
    torch.testing.assert_close(out.patches[:, :3], stored[f"{case}/patches_head"], atol=1e-4, rtol=0)
    torch.testing.assert_close(out.prenorm[:, 0], stored[f"{case}/prenorm_cls"], atol=1e-4, rtol=0)
    assert fingerprint_error(out.patches, expected["patches"]) < 1e-5
    if "positions" in expected:
        table = resample_position_table(model.pos_embed, (height // 14, width // 14), model.resampling)
        assert fingerprint_error(table, expected["positions"]) < 1e-6


def test_intermediate_layers(model: VisionTransformer) -> None:
    crops = images(f"{NAME}/98x98", 2, 98, 98)
    with torch.no_grad():
        last = model.intermediate(crops, range(-4, 0))
        raw = model.intermediate(crops, [0, 2], norm=False)
    for out, expected in zip(last, NUMBERS["intermediate_last4_normed_98"], strict=True):
        assert fingerprint_error(out.patches, expected) < 1e-5
    for out, both in zip(raw, NUMBERS["intermediate_0_2_raw_98"], strict=True):
        assert fingerprint_error(out.patches, both["patches"]) < 1e-5
        assert fingerprint_error(out.cls, both["cls"]) < 1e-5


def test_gradients(model: VisionTransformer) -> None:
    expected = NUMBERS["grad98"]
    crops = images(f"{NAME}/98x98", 2, 98, 98).requires_grad_()
    model.zero_grad()
    out = model(crops, masks(f"{NAME}/98x98", 2, 49))
    loss = (out.cls * fill(f"gradw/{NAME}", out.cls.shape)).sum() + out.patches.square().mean()
    loss.backward()
    assert loss.item() == pytest.approx(expected["loss"], rel=1e-5)
    assert crops.grad is not None
    assert fingerprint_error(crops.grad, expected["images"]) < 1e-4
    for name, parameter in model.named_parameters():
        assert fingerprint_error(parameter.grad, expected["parameters"][name]) < 1e-4, name
