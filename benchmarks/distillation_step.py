"""What the teacher costs in a distillation step, on one CPU thread: ours beside a teacher in an ordinary training loop.

    python benchmarks/distillation_step.py [--teacher vitb14] [--students vits14 vitti14] [--images 4] [--rounds 7]

One step trains all students on the same batch (2 global and 4 local crops, exact mode, float32, AdamW).
  ours                one pass of the teacher over both global crops under inference mode, for all students
  ours, bf16          the same, the teacher alone in bfloat16
  a run per student   each student is distilled in a run of its own, with its own pass of the teacher
  ordinary loop       the same with a teacher like any other module: its weights want gradients, its graph is recorded,
                      each global crop is a pass of its own
  cached              all crops have been seen before: the teacher is not run
First the teacher's part alone (both crops, up to the bottleneck of its heads), then whole steps. A round takes every
variant once, in turn and in one process; CPU seconds are counted; a ratio to ours is made within a round; the table
shows medians over rounds. "kept" is what the recorded graph holds while the step runs, beside the weights.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
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
OURS = "ours"
Act = Callable[[], None]


class OrdinaryTeacher(Teacher):
    """A teacher whose graph is recorded, as when it is a module like any other."""

    def tokens(self, images: Tensor) -> TeacherTokens:
        """Tokens of one pass per global crop, which autograd records."""
        self.backbone.requires_grad_(True)
        self.heads.requires_grad_(True)
        with torch.enable_grad():
            self.recorded = [self.backbone(crop) for crop in images.chunk(2)]
            cls, patches = (torch.cat([getattr(f, kind) for f in self.recorded]) for kind in ("cls", "patches"))
        return TeacherTokens(cls, patches)

    def bottlenecks(self, cls: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Bottleneck features that autograd records; what the losses get is cut off from it."""
        with torch.enable_grad():
            self.recorded_heads = self.heads["dino_head"].bottleneck(cls), self.heads["ibot_head"].bottleneck(patches)
        return self.recorded_heads[0].detach(), self.recorded_heads[1].detach()


def method(folder: Path, students: list[str], teacher: Teacher) -> PrototypeDistillation:
    """Exact distillation of some students from the teacher in a folder."""
    torch.manual_seed(0)
    grid = load_model(folder).image_px // load_model(folder).backbone.patch_size
    backbones = {name: vit_settings(name, image_size=grid * parse_arch(name).patch_size) for name in students}
    return PrototypeDistillation(PrototypeSettings(backbones, HEAD, HEAD), teacher)


def look(teachers: list[Teacher], batch: CropBatch, patch: int) -> Act:
    """A function in which every teacher looks at the batch once."""

    def act() -> None:
        for teacher in teachers:
            tokens = teacher.look(batch, patch)
            teacher.bottlenecks(tokens.cls, tokens.patches.flatten(0, 1))

    return act


def step(methods: list[PrototypeDistillation], batch: CropBatch) -> Act:
    """A function that takes one step of every method."""
    pairs = [(made.train(), build_adamw(made.parameter_groups())) for made in methods]

    def act() -> None:
        for made, optimizer in pairs:
            training_step(made, optimizer, [batch], KNOBS)

    return act


def cpu_seconds(act: Act) -> float:
    """CPU seconds of one call."""
    began = time.process_time()
    act()
    return time.process_time() - began


def kept_mib(act: Act, weights: set[int]) -> float:
    """Memory that autograd keeps for a backward pass, MiB, without the weights."""
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        act()
    return sum(kept.values()) / 2**20


def compare(variants: Mapping[str, Act], rounds: int) -> dict[str, dict[str, float]]:
    """Median CPU seconds of each, and the median over rounds of its ratio to ours, after one warm-up of each."""
    for act in variants.values():
        act()
    found = [{name: cpu_seconds(act) for name, act in variants.items()} for _ in range(rounds)]
    return {
        name: {
            "cpu_seconds": statistics.median(times[name] for times in found),
            "ratio": statistics.median(times[name] / times[OURS] for times in found),
        }
        for name in variants
    }


def teacher_folder(asked: argparse.Namespace, place: Path) -> Path:
    """A teacher with heads and random weights."""
    backbone = VisionTransformer(vit_settings(asked.teacher, image_size=asked.image_px))
    heads = {name: PrototypeHead(backbone.embed_dim, HEAD) for name in ("dino_head", "ibot_head")}
    modules = nn.ModuleDict({"backbone": backbone, **heads})
    return export_model(modules, ModelDescription(asked.teacher, "dinov2"), place / "teacher")


def make_batch(asked: argparse.Namespace) -> CropBatch:
    """Random crops; the local ones are half as wide."""
    B, side, patch = asked.images, asked.image_px, parse_arch(asked.students[0]).patch_size
    half = side // patch // 2 * patch
    return CropBatch(
        global_crops=torch.randn(2 * B, 3, side, side),
        local_crops=torch.randn(4 * B, 3, half, half),
        masks=torch.zeros(2 * B, (side // patch) ** 2, dtype=torch.bool),
        keys=tuple(map(str, range(B))),
        position=0,
        crop_numbers=tuple(range(B)),
    )


def measured(asked: argparse.Namespace, place: Path) -> dict[str, Any]:
    """The teacher's part alone, what its graph keeps, and whole steps."""
    folder, batch, patch = teacher_folder(asked, place), make_batch(asked), parse_arch(asked.students[0]).patch_size

    def teacher(kind: type[Teacher] = Teacher, precision: str = "fp32", cached: bool = False) -> Teacher:
        model = load_model(folder)
        made = kind(model.backbone, model.heads, CPU, precision)
        made.cache = TokenCache(place / "cache", {}, limit_gib=1) if cached else None
        return made

    each = range(len(asked.students))
    teachers: dict[str, Callable[[], list[Teacher]]] = {
        OURS: lambda: [teacher()],
        "ours, bf16": lambda: [teacher(precision="bf16")],
        "a run per student": lambda: [teacher() for _ in each],
        "ordinary loop": lambda: [teacher(OrdinaryTeacher) for _ in each],
        "cached": lambda: [teacher(cached=True)],
    }
    made = {name: build() for name, build in teachers.items()}
    looks = {name: look(found, batch, patch) for name, found in made.items()}
    alone = compare(looks, asked.rounds)
    for name, found in made.items():
        weights = [w for one in found for part in (one.backbone, one.heads) for w in part.parameters()]
        alone[name]["kept_mib"] = kept_mib(looks[name], {weight.untyped_storage().data_ptr() for weight in weights})
    steps = {
        name: step(
            [method(folder, asked.students, found[0])]
            if len(found) == 1
            else [method(folder, [student], one) for student, one in zip(asked.students, found, strict=True)],
            batch,
        )
        for name, found in made.items()
    }
    return {"teacher": alone, "step": compare(steps, asked.rounds)}


def table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Markdown: one line per variant."""
    lines = ["| | teacher, CPU-s | to ours | kept, MiB | whole step, CPU-s | to ours |", "|---" * 6 + "|"]
    for name, alone in found["teacher"].items():
        whole = found["step"][name]
        part = f"{alone['cpu_seconds']:.3f} | {alone['ratio']:.2f} | {alone['kept_mib']:.0f}"
        lines.append(f"| {name} | {part} | {whole['cpu_seconds']:.2f} | {whole['ratio']:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Run the comparisons, print them, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="vitb14")
    parser.add_argument("--students", nargs="+", default=["vits14", "vitti14"])
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--image-px", type=int, default=70)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "distillation_step.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    what = (
        f"{asked.teacher} teaches {', '.join(asked.students)}: {asked.images} images of {asked.image_px} px, 1 thread"
    )
    print(what, flush=True)
    with tempfile.TemporaryDirectory() as place:
        found = measured(asked, Path(place))
    print(table(found))
    report = {"what": what, "rounds": asked.rounds, "python": platform.python_version(), "torch": torch.__version__}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps({**report, **found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
