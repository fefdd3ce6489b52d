"""What the teacher costs in a distillation step, on one CPU thread: ours beside the usual ways.

    python benchmarks/distillation_step.py [--teacher vitb14] [--students vits14 vitti14] [--images 4] [--rounds 3]

One step trains all students on the same batch (2 global and 4 local crops, exact mode, float32, AdamW).
  ours                one pass of the teacher under inference mode, for all students
  a run per student   each student is distilled in a run of its own, with its own pass of the teacher
  ordinary loop       the same with a teacher like any other module: its weights want gradients, its graph is recorded
  cached              all crops have been seen before: the teacher is not run
Rounds alternate ours and the variant in one process; CPU seconds are counted; the ratio is the median over rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch
from torch import Tensor, nn

from distill.methods.prototype_distillation import PrototypeDistillation, PrototypeSettings
from distill.teachers.teacher import Teacher, TeacherTokens
from distill.teachers.token_cache import TokenCache
from trainer.data.batch import CropBatch
from trainer.engine.freed_memory import keep_freed_memory
from trainer.engine.step import training_step
from trainer.export.model_folder import ModelDescription, export_model, load_model
from trainer.models.heads import HeadSettings, PrototypeHead
from trainer.models.sizes import parse_arch, vit_settings
from trainer.models.vision_transformer import VisionTransformer
from trainer.optim.adamw import build_adamw
from trainer.optim.knobs import StepKnobs

KNOBS = StepKnobs(lr=1e-4, weight_decay=0.04, teacher_momentum=0.99, teacher_temp=0.05, last_layer_lr=1e-4)
HEAD = HeadSettings(prototypes=4096, hidden_dim=1024, bottleneck_dim=256)
CPU = torch.device("cpu")


class OrdinaryTeacher(Teacher):
    """A teacher whose graph is recorded, as when it is a module like any other."""

    def tokens(self, images: Tensor) -> TeacherTokens:
        """Tokens of a pass that autograd records."""
        self.backbone.requires_grad_(True)
        with torch.enable_grad():
            features = self.backbone(images)
        self.recorded = features
        return TeacherTokens(features.cls.detach(), features.patches.detach())


def method(folder: Path, students: list[str], kind: type[Teacher] = Teacher) -> PrototypeDistillation:
    """Exact distillation of some students from the teacher in a folder."""
    torch.manual_seed(0)
    grid = load_model(folder).image_px // load_model(folder).backbone.patch_size
    backbones = {name: vit_settings(name, image_size=grid * parse_arch(name).patch_size) for name in students}
    return PrototypeDistillation(PrototypeSettings(backbones, HEAD, HEAD), kind(load_model(folder), CPU, "fp32"))


def stepper(methods: list[PrototypeDistillation], batch: CropBatch) -> Callable[[], None]:
    """A function that takes one step of every method."""
    pairs = [(made.train(), build_adamw(made.parameter_groups())) for made in methods]

    def step() -> None:
        for made, optimizer in pairs:
            training_step(made, optimizer, [batch], KNOBS)

    return step


def cpu_seconds(step: Callable[[], None]) -> float:
    """CPU seconds of one call."""
    began = time.process_time()
    step()
    return time.process_time() - began


def compare(ours: Callable[[], None], other: Callable[[], None], rounds: int) -> dict[str, Any]:
    """Median CPU seconds of both and the median ratio, after one warm-up of each."""
    ours()
    other()
    pairs = [(cpu_seconds(ours), cpu_seconds(other)) for _ in range(rounds)]
    return {
        "ours_seconds": statistics.median(a for a, _ in pairs),
        "seconds": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(b / a for a, b in pairs),
    }


def main() -> None:
    """Run the comparisons, print them, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="vitb14")
    parser.add_argument("--students", nargs="+", default=["vits14", "vitti14"])
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--image-px", type=int, default=70)
    parser.add_argument("--variants", nargs="+", default=["a run per student", "ordinary loop", "cached"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "distillation_step.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    B, side, patch = asked.images, asked.image_px, parse_arch(asked.students[0]).patch_size
    half = side // patch // 2 * patch
    batch = CropBatch(
        global_crops=torch.randn(2 * B, 3, side, side),
        local_crops=torch.randn(4 * B, 3, half, half),
        masks=torch.zeros(2 * B, (side // patch) ** 2, dtype=torch.bool),
        keys=tuple(map(str, range(B))),
        position=0,
        crop_numbers=tuple(range(B)),
    )
    with tempfile.TemporaryDirectory() as place:
        backbone = VisionTransformer(vit_settings(asked.teacher, image_size=side))
        heads = {name: PrototypeHead(backbone.embed_dim, HEAD) for name in ("dino_head", "ibot_head")}
        modules = nn.ModuleDict({"backbone": backbone, **heads})
        folder = export_model(modules, ModelDescription(asked.teacher, "dinov2"), Path(place) / "teacher")
        ours = stepper([method(folder, asked.students)], batch)

        def cached() -> PrototypeDistillation:
            made = method(folder, asked.students)
            made.teacher.cache = TokenCache(Path(place) / "cache", {}, limit_gib=1)
            return made

        variants: dict[str, Callable[[], list[PrototypeDistillation]]] = {
            "a run per student": lambda: [method(folder, [name]) for name in asked.students],
            "ordinary loop": lambda: [method(folder, [name], OrdinaryTeacher) for name in asked.students],
            "cached": lambda: [cached()],
        }
        report: dict[str, Any] = {
            "what": f"{asked.teacher} teaches {', '.join(asked.students)}: {B} images of {side} px, fp32, 1 thread",
            "python": platform.python_version(),
            "torch": torch.__version__,
            "against": {},
        }
        print(report["what"])
        for name in asked.variants:
            found = report["against"][name] = compare(ours, stepper(variants[name](), batch), asked.rounds)
            seconds, mine = found["seconds"], found["ours_seconds"]
            print(f"{name:18s} {seconds:6.2f} CPU-s beside our {mine:6.2f}: {found['ratio']:.2f}x the time", flush=True)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
