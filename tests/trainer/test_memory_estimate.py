"""The memory estimate against the bytes that autograd keeps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trainer.config.presets import load_pretrain_config
from trainer.config.pretrain import PretrainConfig
from trainer.data.batch import CropBatch
from trainer.memory_estimate import estimate_memory, fitting_images, weights_gib
from trainer.methods.dinov2 import DinoV2
from trainer.optim.knobs import StepKnobs
from trainer.recipe import method_settings

IMAGES = 6
SMALL = ["model.arch=vitn8", "crops.global_px=64", "crops.local_px=32", "crops.local_crops=3"]
HEADS = [f"heads.{head}.{name}=16" for head in ("dino", "ibot") for name in ("prototypes", "hidden_dim")]


def kept_gib(config: PretrainConfig, method: DinoV2, precision: str) -> float:
    """Bytes of all storages that the graph of one forward pass holds, but for the parameters themselves."""
    crops = config.crops
    masks = torch.zeros(2 * IMAGES, (crops.global_px // 8) ** 2, dtype=torch.bool)
    masks[::2, :10] = True
    batch = CropBatch(
        torch.randn(2 * IMAGES, 3, crops.global_px, crops.global_px),
        torch.randn(crops.local_crops * IMAGES, 3, crops.local_px, crops.local_px),
        masks,
        tuple(map(str, range(IMAGES))),
        0,
    )
    parameters = {p.untyped_storage().data_ptr() for p in method.parameters()}
    sizes: dict[int, int] = {}
    held: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            sizes[storage.data_ptr()] = storage.nbytes()
            held.append(tensor)
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        method.losses(batch, StepKnobs(1e-3, 0.04, 0.99, 0.05, 1e-3))
    return sum(sizes.values()) / 2**30


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("extra", [[], ["model.ffn=swiglu"], ["model.layer_scale=null", "model.registers=4"]])
def test_the_estimate_is_within_15_per_cent_of_what_autograd_keeps(precision: str, extra: list[str]) -> None:
    config = load_pretrain_config("cpu", [*SMALL, *HEADS, f"run.batch_size={IMAGES}", "model.layer_scale=1.0", *extra])
    method = DinoV2(method_settings(config)).train()
    parameters = {name: sum(p.numel() for p in module.parameters()) for name, module in method.student.items()}
    estimate = estimate_memory(config, parameters, IMAGES, precision)
    assert estimate == pytest.approx(kept_gib(config, method, precision), rel=0.15)


def test_micro_batches_are_the_largest_that_fit() -> None:
    config = load_pretrain_config("vitl16_short")
    parameters = {"backbone": 300_000_000, "dino_head": 30_000_000}
    per_image = estimate_memory(config, parameters, 2, "fp32") - estimate_memory(config, parameters, 1, "fp32")
    images = fitting_images(config, parameters, 2048, "fp32", device_gib=24.0)
    assert 2048 % images == 0
    room = 0.8 * 24 - weights_gib(parameters)
    assert estimate_memory(config, parameters, images, "fp32") <= room
    assert estimate_memory(config, parameters, 2 * images, "fp32") > room
    assert fitting_images(config, parameters, 2048, "fp32", device_gib=room / 0.8 + 5000 * per_image) == 2048
    assert fitting_images(config, parameters, 2048, "fp32", device_gib=1.0) == 2
