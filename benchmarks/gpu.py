"""Training steps on a GPU: images/s, MFU and peak memory of ViT-S/B/L, each technique switched off in turn.

    python benchmarks/gpu.py [--arch vits14 vitb14 vitl14] [--images 32 64 128] [--peak-tflops 989] [--out FILE.json]
    python benchmarks/gpu.py --device cpu --arch tiny         # does it run: seconds, without compilation

Crops are noise on the device (2 x 224 + 8 x 98 px, bf16, drop path 0.3, one head of 65,536 prototypes), so that the
data path does not matter; the row "data" takes JPEGs through the loader (--data FOLDER for others than made up ones).
"The standard way" is separate forwards, full logits, masked depth, all tokens in the last block, PyTorch's own AdamW,
no compilation, with the same bf16. It runs at every size; the other rows at the largest size that it fits.
MFU is the operations of trainer/step_flops.py over time and the device's peak (trainer/engine/peak_flops.py, or
--peak-tflops). Each row has a process of its own on a GPU; one that does not fit says so and the others go on. Rows of
the same numbers must have the same first losses. Compiled code is kept on disk, so that a model's first row pays for
compilation most. It needs PyTorch alone; "data" and "distillation" need their packages.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from gpu_row import Row, measure, spare_cores
from step_variants import PLAIN, Lacks

IMAGES = {"vits": (32, 64, 128, 256), "vitb": (32, 64, 128), "vitl": (16, 32, 64)}
TINY = "vitp8"
STANDARD = {"lacks": PLAIN, "compiled": False, "optimizer": "foreach"}
SWITCHED: dict[str, dict[str, Any]] = {
    "separate forwards": {"lacks": Lacks(packing=True)},
    "full logits": {"lacks": Lacks(chunks=True)},
    "masked depth": {"lacks": Lacks(kept_subset=True)},
    "all tokens": {"lacks": Lacks(chosen_rows=True)},
    "not compiled": {"compiled": False},
    "fp32": {"precision": "fp32"},
    "AdamW and average weight by weight": {"optimizer": "loop", "lacks": Lacks(foreach=True)},
    "blocks recomputed": {"recompute": True},
    "attention nested": {"attention": "nested"},
    "attention varlen": {"attention": "varlen"},
    "attention xformers": {"attention": "xformers"},
    "the standard way, compiled": {**STANDARD, "compiled": True},
}
SAME_LOSS = {"fp32": 2e-3, "bf16": 3e-2}
"""Largest relative difference of first losses that rounding may make."""


def run_row(row: Row) -> dict[str, Any]:
    """Measure a row: on a GPU in a process of its own, whose end, whatever it is, leaves the others alone."""
    return in_own_process(row) if row.device.startswith("cuda") else measure(row)


def in_own_process(row: Row) -> dict[str, Any]:
    """The numbers of a row, or "failed" and the last line that its process said."""
    command = [sys.executable, __file__, "--row", json.dumps(row.values())]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    return {"failed": (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]}


class Bench:
    """Runs rows, prints a line for each and keeps what was found in a file, so that a bench cut short is not lost."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self._asked = asked
        self.rows: list[dict[str, Any]] = []
        print("| model | images | | images/s | ms | MFU | peak GiB | start, s | to ours |")
        print("|" + "---|" * 9)

    def run(self, row: Row, ours: dict[str, Any] | None = None) -> dict[str, Any]:
        """Measure a row and hold it against ours at the same size."""
        found = {"name": row.name, "arch": row.arch, "images": row.images, "precision": row.precision, **run_row(row)}
        if ours is not None and "step_seconds" in ours and "step_seconds" in found:
            found["time_to_ours"] = found["step_seconds"] / ours["step_seconds"]
            if row.teacher is None and row.data is None:
                found["same_losses"] = same_losses(found, ours)
        self.rows.append({**found, "settings": row.values()})
        print(line(found), flush=True)
        self._save()
        return found

    def _save(self) -> None:
        on_gpu = self._asked.device.startswith("cuda")
        report = {
            "device": torch.cuda.get_device_name(self._asked.device) if on_gpu else platform.processor() or "cpu",
            "python": platform.python_version(),
            "torch": torch.__version__,
            "aims": aims(self.rows),
            "rows": self.rows,
        }
        self._asked.out.parent.mkdir(parents=True, exist_ok=True)
        self._asked.out.write_text(json.dumps(report, indent=2) + "\n")

    def architecture(self, arch: str) -> None:
        """All sizes of ours and of the standard way, then the techniques at the largest size that both fit."""
        base = base_row(arch, self._asked)
        fitting: dict[int, dict[str, Any]] = {}
        for images in self._asked.images or IMAGES.get(arch[:4], (2, 4)):
            ours = self.run(replace(base, name="ours", images=images))
            standard = self.run(replace(base, name="the standard way", images=images, **STANDARD), ours)
            if "step_seconds" in ours and ("step_seconds" in standard or not fitting):
                fitting[images] = ours
        if not fitting:
            return
        images = max(fitting)
        rows = [replace(base, name=name, images=images, **off) for name, off in SWITCHED.items()]
        rows.append(replace(base, name="data", images=images, data=self._asked.data, workers=self._asked.workers))
        teacher = {"vits14": "vitl14", "vitb14": "vitl14", TINY: "vitn8"}.get(arch)
        if teacher:
            rows.append(replace(base, name=f"distillation from {teacher}", images=images, teacher=teacher))
        for row in rows:
            if row.name in (self._asked.rows or [row.name]) and differs(row, base):
                self.run(row, fitting[images])


def base_row(arch: str, asked: argparse.Namespace) -> Row:
    """Ours: everything on. A CPU compiles only on request and stays in fp32."""
    on_gpu = asked.device.startswith("cuda")
    return Row(
        name="ours",
        arch=arch,
        images=0,
        device=asked.device,
        precision="bf16" if on_gpu else "fp32",
        prototypes=asked.prototypes or (256 if arch == TINY else 65536),
        compiled=on_gpu or asked.compile,
        warm_up=asked.warm_up or (4 if on_gpu else 2),
        steps=asked.steps or (10 if on_gpu else 2),
        peak_tflops=asked.peak_tflops,
    )


def differs(row: Row, base: Row) -> bool:
    """False for a technique that is off anyway, such as compilation on a CPU."""
    return replace(row, name=base.name, images=base.images) != base and (base.compiled or "compiled" not in row.name)


def same_losses(found: dict[str, Any], ours: dict[str, Any]) -> bool:
    """The first steps of a row, from equal weights and draws, have our losses but for rounding."""
    allowed = max(SAME_LOSS[row["precision"]] for row in (found, ours))
    return all(abs(a / b - 1) < allowed for a, b in zip(found["first_losses"], ours["first_losses"], strict=True))


def line(found: dict[str, Any]) -> str:
    """A row of the table."""
    head = f"| {found['arch']} | {found['images']} | {found['name']} |"
    if "step_seconds" not in found:
        reason = "out of memory" if found.get("out_of_memory") else found.get("left_out") or found.get("failed")
        return f"{head} {reason} | | | | | |"
    mfu, memory, ratio = found.get("mfu"), found["peak_gib"], found.get("time_to_ours")
    cells = [f"{found['images_per_second']:.1f}", f"{1000 * found['step_seconds']:.1f}"]
    cells += ["-" if mfu is None else f"{100 * mfu:.1f} %", "-" if memory is None else f"{memory:.1f}"]
    cells += [f"{found['start_seconds']:.1f}", "" if ratio is None else f"{ratio:.2f}"]
    other = "" if found.get("same_losses", True) else " OTHER LOSSES"
    return f"{head} {' | '.join(cells)}{other} |"


def aims(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What was aimed at: 50 % MFU for ViT-L, 1.5 times the standard way; None where it was not measured."""
    large = [row["mfu"] for row in rows if row["name"] == "ours" and row["arch"].startswith("vitl") and row.get("mfu")]
    ratios = {
        f"{row['arch']}, {row['images']} images": row["time_to_ours"]
        for row in rows
        if row["name"] == "the standard way" and "time_to_ours" in row
    }
    return {"best_mfu_of_vitl": max(large, default=None), "standard_way_to_ours": ratios}


def main() -> None:
    """Run all rows, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--arch", nargs="+", default=["vits14", "vitb14", "vitl14"], help="or tiny")
    parser.add_argument("--images", type=int, nargs="+", help="images per step (default: by model)")
    parser.add_argument("--rows", nargs="*", help="only these of the rows with something switched (default: all)")
    parser.add_argument("--prototypes", type=int)
    parser.add_argument("--steps", type=int, help="steps that are timed (default: 10, on a CPU 2)")
    parser.add_argument("--warm-up", type=int)
    parser.add_argument("--compile", action="store_true", help="compile on a CPU too")
    parser.add_argument("--peak-tflops", type=float, help="of the device, for MFU; default: by its name")
    parser.add_argument("--data", default="synthetic", help="images of the row `data`")
    parser.add_argument("--workers", type=int, default=spare_cores(), help="loader processes of the row `data`")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gpu.json")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.row:
        print(json.dumps(measure(Row.of(json.loads(asked.row)))))
        return
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("PyTorch finds no GPU: take a machine with one, or --device cpu --arch tiny to see that it runs")
    bench = Bench(asked)
    for arch in asked.arch:
        bench.architecture(TINY if arch == "tiny" else arch)


if __name__ == "__main__":
    main()
