"""One row of gpu.py: a training step of one kind, built, warmed up and timed. Needs PyTorch alone, but for two rows:
"data" (the data path: Pillow, simplejpeg, pydantic) and "distillation" (the package distill), which say so.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import torch
from step_variants import Lacks, Variant

from contracts.errors import UserError
from trainer.data.batch import CropBatch
from trainer.engine.device import autocast_dtype
from trainer.engine.peak_flops import peak_flops
from trainer.engine.shard import compile_blocks
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.models.heads import HeadSettings
from trainer.models.sizes import vit_settings
from trainer.models.vision_transformer import VitSettings
from trainer.optim.adamw import build_adamw
from trainer.optim.knobs import StepKnobs
from trainer.step_flops import StepSizes, step_flops

KNOBS = StepKnobs(lr=1e-4, weight_decay=0.04, teacher_momentum=0.99, teacher_temp=0.05, last_layer_lr=1e-4)
NO_MEMORY = ("out of memory", "ALLOC_FAILED", "can't allocate memory")
Step = Callable[[], float]
"""Takes one step and returns its loss."""


@dataclass(frozen=True)
class Row:
    """What is timed. `optimizer`: "fused", "foreach" (PyTorch's own choice on a GPU) or "loop" (weight by weight).

    `teacher` names the frozen teacher of a distillation step; `data` is a source of images, or "synthetic" for JPEGs
    made on the spot; None takes crops that are on the device already.
    """

    name: str
    arch: str
    images: int
    device: str = "cuda"
    precision: str = "bf16"
    prototypes: int = 65536
    lacks: Lacks = field(default_factory=Lacks)
    compiled: bool = True
    optimizer: str = "fused"
    recompute: bool = False
    attention: str = "sdpa"
    teacher: str | None = None
    data: str | None = None
    workers: int = 0
    warm_up: int = 4
    steps: int = 10
    peak_tflops: float | None = None

    def values(self) -> dict[str, Any]:
        """As nested plain values."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Row:
        """The inverse of `values`."""
        return cls(**{**values, "lacks": Lacks(**values["lacks"])})


def measure(row: Row) -> dict[str, Any]:
    """The row's numbers, or "out_of_memory": True, or "left_out": why it cannot run here."""
    try:
        with ExitStack() as stack:
            return _measure(row, stack)
    except (UserError, ImportError) as error:
        return {"left_out": str(error)}
    except (torch.OutOfMemoryError, MemoryError):
        return {"out_of_memory": True}
    except RuntimeError as error:
        if any(words in str(error) for words in NO_MEMORY):
            return {"out_of_memory": True}
        raise


def _measure(row: Row, stack: ExitStack) -> dict[str, Any]:
    device = torch.device(row.device)
    torch.manual_seed(0)
    waited: list[float] = []
    step, flops = build(row, device, stack, waited)
    found = timed(step, device, row.warm_up, row.steps)
    speed = {"images_per_second": row.images / found["step_seconds"]}
    peak = peak_flops(device, row.precision, row.peak_tflops)
    if flops is not None:
        speed |= {"teraflops_per_step": flops / 1e12, "teraflops_per_second": flops / 1e12 / found["step_seconds"]}
        speed |= {"mfu": None if peak is None else flops / found["step_seconds"] / peak}
    if waited:
        speed["data_wait"] = sum(waited[-row.steps :]) / found["total_seconds"]
    return {**speed, **found}


def build(row: Row, device: torch.device, stack: ExitStack, waited: list[float]) -> tuple[Step, float | None]:
    """A function that takes one step, and the operations of a step by formula."""
    backbone, sizes = recipe(row)
    dtype = autocast_dtype(row.precision)
    head = HeadSettings(prototypes=row.prototypes)
    if row.teacher is not None:
        return _distillation_step(row, device, backbone, sizes, head), None
    settings = DinoV2Settings(backbone=backbone, dino_head=head)
    method = Variant(settings, row.lacks).train().to(device)
    if row.compiled:
        compile_blocks(method)
    optimizer = _optimizer(method.parameter_groups(), row.optimizer)
    batches = _synthetic(sizes, backbone, device) if row.data is None else _from_data(row, sizes, backbone, stack)

    def step() -> float:
        began = time.perf_counter()
        batch = next(batches)
        if row.data is not None:
            waited.append(time.perf_counter() - began)
        return method.step(optimizer, [batch], KNOBS, dtype).total

    return step, step_flops(settings, sizes).total


def recipe(row: Row) -> tuple[VitSettings, StepSizes]:
    """The published crops (224 and 98 or 96 px, 8 local ones); for patches of 8 px a small version of them.

    Residual branches begin at full gain: with the published one images look alike at first, and KoLeo turns rounding
    into other losses.
    """
    patch = vit_settings(row.arch).patch_size
    global_px, local_px = (64, 32) if patch <= 8 else (224, 98 if patch == 14 else 96)
    backbone = vit_settings(
        row.arch,
        image_size=global_px,
        drop_path_rate=0.3,
        layer_scale=1.0,
        attention=row.attention,
        recompute=row.recompute,
    )
    masked = 2 * row.images * 0.5 * (global_px // patch) ** 2 * 0.3
    return backbone, StepSizes(row.images, global_px, 8, local_px, masked)


def timed(step: Step, device: torch.device, warm_up: int, steps: int) -> dict[str, Any]:
    """Median seconds of a step after the warm-up, whose excess over that is the start: compilation and first use.

    On a GPU between events on its stream, with the memory that tensors took at most since the warm-up.
    """
    on_gpu = device.type == "cuda"
    began = time.perf_counter()
    losses = [step() for _ in range(warm_up)]
    _wait(device)
    start = time.perf_counter() - began
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    seconds = _event_seconds(step, steps) if on_gpu else _wall_seconds(step, steps)
    median = statistics.median(seconds)
    memory = torch.cuda.max_memory_allocated(device) / 2**30 if on_gpu else None
    return {
        "step_seconds": median,
        "fastest_seconds": min(seconds),
        "slowest_seconds": max(seconds),
        "total_seconds": sum(seconds),
        "start_seconds": max(start - warm_up * median, 0.0),
        "peak_gib": memory,
        "first_losses": losses[:2],
    }


def _event_seconds(step: Step, steps: int) -> list[float]:
    events = [torch.cuda.Event(enable_timing=True) for _ in range(steps + 1)]
    events[0].record()
    for event in events[1:]:
        step()
        event.record()
    torch.cuda.synchronize()
    return [a.elapsed_time(b) / 1000 for a, b in pairwise(events)]


def _wall_seconds(step: Step, steps: int) -> list[float]:
    clock = [time.perf_counter()]
    for _ in range(steps):
        step()
        clock.append(time.perf_counter())
    return [b - a for a, b in pairwise(clock)]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _optimizer(groups: list[dict[str, Any]], kind: str) -> torch.optim.AdamW:
    if kind == "fused":
        return build_adamw(groups)
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=0.0, foreach=kind == "foreach", fused=False)


def _synthetic(sizes: StepSizes, backbone: VitSettings, device: torch.device) -> Iterator[CropBatch]:
    """Two batches of noise in turn, with masks of other sizes, as batches have them."""
    B, N, channels = sizes.images, (sizes.global_px // backbone.patch_size) ** 2, backbone.in_channels
    made = []
    for masked_share in (0.28, 0.32):
        masks = torch.zeros(2 * B, N, dtype=torch.bool)
        for crop in range(0, 2 * B, 2):
            masks[crop, torch.randperm(N)[: max(int(masked_share * N), 1)]] = True
        global_crops = torch.randn(2 * B, channels, sizes.global_px, sizes.global_px)
        local_crops = torch.randn(sizes.local_crops * B, channels, sizes.local_px, sizes.local_px)
        made.append(CropBatch(global_crops, local_crops, masks, ("",) * B, 0, tuple(range(B))).to(device))
    return cycle(made)


def _from_data(row: Row, sizes: StepSizes, backbone: VitSettings, stack: ExitStack) -> Iterator[CropBatch]:
    """Batches from images, through the loader."""
    from trainer.data.augment.settings import AugmentationSettings
    from trainer.data.loader import LoaderSettings, build_loader
    from trainer.data.open_source import open_source

    folder = row.data
    if folder == "synthetic":
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        _write_images(Path(folder), max(2 * row.images, 64))
    crops = AugmentationSettings(
        global_px=sizes.global_px, local_px=sizes.local_px, local_crops=sizes.local_crops, channels=backbone.in_channels
    )
    settings = LoaderSettings(
        row.images, backbone.patch_size, crops, workers=row.workers, device=row.device, batches_ahead=2
    )
    return iter(build_loader(open_source(str(folder)), settings))


def _write_images(folder: Path, count: int) -> None:
    """Smooth noise as JPEGs of 500 x 375 px, as large as photographs of ImageNet."""
    from PIL import Image

    generator = torch.Generator().manual_seed(0)
    for index in range(count):
        coarse = torch.rand(1, 3, 24, 32, generator=generator)
        fine = torch.nn.functional.interpolate(coarse, size=(375, 500), mode="bicubic").clamp(0, 1)
        fine = (fine + 0.05 * torch.randn(fine.shape, generator=generator)).clamp(0, 1)
        pixels = (255 * fine[0]).to(torch.uint8).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{index:05d}.jpg", quality=90)


def _distillation_step(
    row: Row, device: torch.device, backbone: VitSettings, sizes: StepSizes, head: HeadSettings
) -> Step:
    """Exact distillation of one student from a frozen teacher with random weights."""
    from distill.methods.prototype_distillation import PrototypeDistillation, PrototypeSettings
    from distill.teachers.teacher import Teacher
    from trainer.engine.step import training_step
    from trainer.models.heads import PrototypeHead
    from trainer.models.vision_transformer import VisionTransformer

    assert row.teacher is not None
    teacher_backbone = VisionTransformer(vit_settings(row.teacher, image_size=sizes.global_px))
    heads = torch.nn.ModuleDict({"dino_head": PrototypeHead(teacher_backbone.embed_dim, head)})
    teacher = Teacher(teacher_backbone, heads, device, row.precision)
    student = vit_settings(row.arch, image_size=sizes.global_px, attention=row.attention)
    method = PrototypeDistillation(PrototypeSettings({row.arch: student}, head, None), teacher).train().to(device)
    if row.compiled:
        compile_blocks(method)
    optimizer = build_adamw(method.parameter_groups())
    batches = _synthetic(sizes, backbone, device)
    dtype = autocast_dtype(row.precision)
    return lambda: training_step(method, optimizer, [next(batches)], KNOBS, autocast_dtype=dtype).total


def spare_cores() -> int:
    """Loader processes beside a GPU."""
    return max(1, min(16, (os.cpu_count() or 1) - 1))
