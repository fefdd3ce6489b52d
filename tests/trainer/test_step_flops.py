"""The formula against PyTorch's own count of the operations of a forward and a backward pass."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from trainer.config.presets import load_pretrain_config
from trainer.data.batch import CropBatch
from trainer.layers.stochastic_depth import kept_samples
from trainer.methods.dinov2 import DinoV2
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.methods.gram_anchor import GramSettings
from trainer.models.heads import HeadSettings
from trainer.models.vision_transformer import VitSettings
from trainer.optim.knobs import StepKnobs
from trainer.recipe import method_settings, step_sizes
from trainer.step_flops import StepSizes, backbone_flops, step_flops

IMAGES, MASKED = 4, 20
HEAD = HeadSettings(prototypes=512, hidden_dim=96, bottleneck_dim=64)
OTHER_HEAD = HeadSettings(prototypes=256, hidden_dim=64, bottleneck_dim=48, layers=2)


def backbone(**fields: object) -> VitSettings:
    return VitSettings(
        **{"embed_dim": 64, "depth": 3, "num_heads": 2, "patch_size": 8, "image_size": 64, "drop_path_rate": 0.3}
        | fields  # type: ignore[arg-type]
    )


def counted(settings: DinoV2Settings, local_crops: int) -> int:
    """Operations that PyTorch counts; attention as the products it is made of."""
    torch.manual_seed(0)
    masks = torch.zeros(2 * IMAGES, 64, dtype=torch.bool)
    masks[::2, : MASKED // IMAGES] = True
    batch = CropBatch(
        torch.randn(2 * IMAGES, 3, 64, 64), torch.randn(local_crops * IMAGES, 3, 32, 32), masks, ("",) * IMAGES, 0
    )
    method = DinoV2(settings).train()
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        method.losses(batch, StepKnobs(1e-3, 0.04, 0.99, 0.05, 1e-3)).total.backward()
    return counter.get_total_flops()


@pytest.mark.parametrize(
    "settings",
    [
        DinoV2Settings(backbone(), HEAD),
        DinoV2Settings(backbone(), HEAD, OTHER_HEAD),
        DinoV2Settings(backbone(ffn="swiglu", registers=4, drop_path_rate=0.0), HEAD, OTHER_HEAD),
        DinoV2Settings(backbone(drop_path_uniform=False), HEAD, centering="centering"),
        DinoV2Settings(backbone(), HEAD, gram=GramSettings(enlarge=2.0)),
    ],
    ids=["shared", "two heads", "swiglu", "centering", "gram"],
)
@pytest.mark.parametrize("local_crops", [0, 3])
def test_the_formula_is_within_2_per_cent_of_what_pytorch_counts(settings: DinoV2Settings, local_crops: int) -> None:
    found = step_flops(settings, StepSizes(IMAGES, 64, local_crops, 32, MASKED))
    assert found.total == pytest.approx(counted(settings, local_crops), rel=0.02)


def test_recomputed_blocks_do_not_count() -> None:
    settings, sizes = DinoV2Settings(backbone(recompute=True), HEAD), StepSizes(IMAGES, 64, 3, 32, MASKED)
    kept = DinoV2Settings(backbone(), HEAD)
    assert step_flops(settings, sizes) == step_flops(kept, sizes)
    assert counted(settings, 3) > 1.15 * counted(kept, 3)


def test_a_backbone_by_hand() -> None:
    """One block, one sample of 4 patches and a class token: 5 tokens."""
    settings = VitSettings(embed_dim=8, depth=1, num_heads=1)
    projections, products, feed_forward = 5 * 8 * 32 * 2, 2 * 2 * 5 * 5 * 8, 2 * 8 * 32 * 2
    assert backbone_flops(settings, [(1, 4)], chosen=1) == projections + products + feed_forward
    assert kept_samples(10, 0.3) == 7


def test_the_sizes_of_a_recipe() -> None:
    config = load_pretrain_config("vitl16_short", [])
    sizes = step_sizes(config, 64)
    assert sizes == StepSizes(64, 224, 8, 96, pytest.approx(64 * 2 * 0.5 * 196 * 0.3))
    found = step_flops(method_settings(config), sizes)
    # ViT-L/16 is 300 M parameters: 2 operations each and token, three times, over 2 x 197 + 8 x 37 tokens at 70 %.
    tokens = 2 * 197 + 8 * 37
    assert found.student / 64 == pytest.approx(6 * 302e6 * tokens * 0.7, rel=0.1)
