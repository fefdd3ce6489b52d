"""The memory estimate against the bytes that autograd keeps."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from trainer.config.presets import load_pretrain_config
from trainer.config.pretrain import PretrainConfig
from trainer.data.batch import CropBatch
from trainer.memory_estimate import estimate_memory, fitting_images, memory_of_step
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
    images = fitting_images(config, parameters, 2048, "fp32", device_gib=24.0)
    assert 2048 % images == 0
    assert memory_of_step(config, parameters, images, "fp32", 1).peak_gib <= 0.8 * 24
    assert memory_of_step(config, parameters, 2 * images, "fp32", 1).peak_gib > 0.8 * 24
    all_at_once = memory_of_step(config, parameters, 2048, "fp32", 1).peak_gib
    assert fitting_images(config, parameters, 2048, "fp32", device_gib=all_at_once / 0.8 + 0.1) == 2048
    assert fitting_images(config, parameters, 2048, "fp32", device_gib=1.0) == 2


def test_weights_in_parts_take_their_share() -> None:
    words = ["run.batch_size=64", "devices.strategy=shard"]
    parameters = {"backbone": 300_000_000, "dino_head": 30_000_000}
    whole = memory_of_step(load_pretrain_config("vitl16_short", words), parameters, 8, "bf16", 1)
    parts = memory_of_step(load_pretrain_config("vitl16_short", words), parameters, 8, "bf16", 8)
    assert parts.weights_gib == pytest.approx(whole.weights_gib / 8, abs=1e-3)
    assert parts.peak_gib < whole.peak_gib


MEASURE = """
import json, resource, sys
import psutil, torch
from trainer.config.presets import load_pretrain_config
from trainer.data.batch import CropBatch
from trainer.engine.freed_memory import keep_freed_memory
from trainer.engine.step import training_step
from trainer.plan import memory_of_step
from trainer.step_api import build_step

def steps(config, images):
    torch.set_num_threads(1)
    parts, crops = build_step(config), config.crops
    patches = (crops.global_px // parts.method.settings.backbone.patch_size) ** 2
    masks = torch.zeros(2 * images, patches, dtype=torch.bool)
    masks[:images, : int(0.3 * patches)] = True
    globals_ = torch.randn(2 * images, 3, crops.global_px, crops.global_px)
    locals_ = torch.randn(crops.local_crops * images, 3, crops.local_px, crops.local_px)
    batch = CropBatch(globals_, locals_, masks, tuple(map(str, range(images))), 0)
    batches = [batch] * (config.run.batch_size // images)
    for step in range(2):
        training_step(parts.method, parts.optimizer, batches, parts.schedules.at(step))
    return {name: sum(p.numel() for p in module.parameters()) for name, module in parts.method.student.items()}

images, words = int(sys.argv[1]), sys.argv[2:]
keep_freed_memory()
toy = [f"heads.{head}.{size}=16" for head in ("dino", "ibot") for size in ("prototypes", "hidden_dim")]
toy += ["model.arch=vitn14", "crops.global_px=28", "crops.local_px=14", "run.batch_size=2"]
steps(load_pretrain_config("small", toy), 2)
before = psutil.Process().memory_info().rss
config = load_pretrain_config("small", words)
parameters = steps(config, images)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
estimate = memory_of_step(config, parameters, images, "fp32", 1).peak_gib
print(json.dumps({"measured": (peak - before) / 2**30, "estimate": estimate}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "words"),
    [
        (4, ["run.batch_size=4", "model.arch=vits14", "heads.dino.prototypes=4096", "heads.ibot.prototypes=4096"]),
        (8, ["run.batch_size=8", "model.arch=vitti14"]),
        (2, ["run.batch_size=4", "model.arch=vitb14"]),
        (4, ["run.batch_size=4", "model.arch=vitti14", "heads.dino.prototypes=131072", "heads.ibot.prototypes=131072"]),
        (4, ["run.batch_size=4", "model.arch=vits14", "devices.recompute_blocks=true"]),
    ],
)
def test_the_peak_is_within_15_per_cent_of_what_steps_on_a_cpu_take(images: int, words: list[str]) -> None:
    """The process's resident memory at its highest, over what it was before the model was built."""
    words = [str(images), *words]
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", MEASURE, *words], capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert found["estimate"] == pytest.approx(found["measured"], rel=0.15), found
