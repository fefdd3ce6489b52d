"""What every step of curation costs per image, written to packages/curation/src/curation/scaling/costs.yaml.

    python benchmarks/step_costs.py [--images 4000]

`curate ingest`, `embed`, `build` and `verify` run on generated tars of two picture sizes and two lengths, one worker
each: the difference of the lengths is what images cost without the start of a command, the difference of the sizes what
their pixels (build, verify: their bytes) cost. For ingest, build and verify the small size is that of million.py
(--images 100000 and 1000000); it, selfjoin.py and components.py, for the join, the components and memory, run first.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from streaming import write_pool

from contracts.config import dump_yaml
from contracts.publish import publish_text
from curation.index.plan import plan_index
from curation.scaling.costs import Costs, ImageCosts
from curation.scaling.project import join_flops

HERE = Path(__file__).parent
RESULTS, OUT = HERE / "results", HERE.parent / "packages" / "curation" / "src" / "curation" / "scaling" / "costs.yaml"
SIDES_PX = (96, 640)
TINY_PX = 64
MODELS = ("descriptor", "phash")
STEPS = ("ingest", "dedup", "build", "verify")
START_PART = 8
"""The short pool is this part of the long one."""


def cpu_of(words: list[str]) -> float:
    """CPU seconds of a `curate` command with all its workers."""
    before = sum(os.times()[2:4])
    subprocess.run([Path(sys.executable).with_name("curate"), *words], check=True, capture_output=True)
    return sum(os.times()[2:4]) - before


def run_pool(folder: Path, images: int, side_px: int) -> dict[str, float]:
    """CPU seconds of each command on a pool of its own, and its bytes."""
    place = ["--workspace", str(folder / "workspace")]
    engine = [*place, "--engine", "local", "--workers", "1"]
    write_pool(folder / "pool", images, side_px)
    cpu_of(["init", str(folder / "pool"), *place])
    found = {"ingest": cpu_of(["ingest", *engine])}
    for model in MODELS:
        found[model] = cpu_of(["embed", "--model", model, *engine])
    found["build"], found["verify"] = cpu_of(["build", *engine]), cpu_of(["verify", *place])
    found["bytes"] = float(sum(file.stat().st_size for file in (folder / "pool").iterdir()))
    return found


def image_costs(images: int) -> dict[str, ImageCosts]:
    """Costs of an image, from pools of two sizes and two lengths."""
    sizes, short = [], images // START_PART
    for side in SIDES_PX:
        with tempfile.TemporaryDirectory() as place:
            long_run = run_pool(Path(place) / "long", images, side)
            short_run = run_pool(Path(place) / "short", short, side)
        each = {name: (long_run[name] - short_run[name]) / (images - short) for name in long_run}
        sizes.append({**each, "megapixels": side * side / 1e6})
        print(side, {name: round(1e3 * value, 4) for name, value in sizes[-1].items()}, flush=True)
    (small, large), tiny = sizes, tiny_costs()
    costs = {}
    for name in ("ingest", *MODELS, "build", "verify"):
        unit = "bytes" if name in ("build", "verify") else "megapixels"
        low = tiny if name in tiny else small
        slope = max(0.0, (large[name] - low[name]) / (large[unit] - low[unit]))
        slopes = {"per_byte": slope} if unit == "bytes" else {"per_megapixel": slope}
        costs[name] = ImageCosts(per_image=max(0.0, low[name] - slope * low[unit]), **slopes)
    return costs


def tiny_costs() -> dict[str, float]:
    """Of an image of million.py, from its two lengths."""
    runs = [json.loads((RESULTS / name).read_text()) for name in ("million_100k.json", "million.json")]
    steps = [{step["step"]: step for step in run["steps"]} for run in runs]
    written = [found["build"]["report"]["samples"] for found in steps]
    images = {"ingest": runs[1]["images"] - runs[0]["images"], "build": written[1] - written[0]}
    images["verify"] = images["build"]
    found = {name: (steps[1][name]["cpu_seconds"] - steps[0][name]["cpu_seconds"]) / n for name, n in images.items()}
    return {**found, "bytes": steps[1]["build"]["report"]["image_bytes"] / written[1], "megapixels": TINY_PX**2 / 1e6}


def join_costs() -> tuple[float, dict[int, dict[str, float]]]:
    """Operations per second of the largest join, and what they foretell of the others."""
    runs = json.loads((RESULTS / "selfjoin.json").read_text())
    runs = sorted((run for run in runs if run["method"] == "ivf"), key=lambda run: run["rows"])
    work = {run["rows"]: sum(join_flops(plan_index(run["rows"], 256, "ivf")).values()) for run in runs}
    speed = work[runs[-1]["rows"]] / runs[-1]["cpu_seconds"]
    return speed, {
        run["rows"]: {"foretold": round(work[run["rows"]] / speed, 1), "measured": run["cpu_seconds"]} for run in runs
    }


def memory_costs() -> tuple[dict[str, float], dict[str, float]]:
    """Resident bytes per image and of an empty step, from two lengths of million.py."""
    peaks: list[tuple[int, dict[str, Any]]] = []
    for name in ("million_100k.json", "million.json"):
        found = json.loads((RESULTS / name).read_text())
        peaks.append((found["images"], {step["step"]: step["peak_bytes"] for step in found["steps"]}))
    (few, small), (many, large) = peaks
    slope = {name: max(0.0, (large[name] - small[name]) / (many - few)) for name in STEPS}
    return slope, {name: max(0.0, small[name] - slope[name] * few) for name in STEPS}


def main() -> None:
    """Measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--machine", default="one core of a virtual machine with two, AMD EPYC, AVX2, no GPU")
    asked = parser.parse_args()
    images = image_costs(asked.images)
    speed, check = join_costs()
    memory, base = memory_costs()
    edges = json.loads((RESULTS / "components.json").read_text())
    costs = Costs(
        measured=datetime.datetime.now(datetime.UTC).date().isoformat(),
        machine=asked.machine,
        ingest=images["ingest"],
        embed={name: images[name] for name in MODELS},
        join_flops=speed,
        join_check=check,
        components_per_edge=max(run["cpu_seconds"] / run["edges"] for run in edges),
        build=images["build"],
        verify=images["verify"],
        memory=memory,
        memory_base=base,
    )
    publish_text(OUT, "# Written by benchmarks/step_costs.py.\n" + dump_yaml(costs))
    print(json.dumps(costs.model_dump(), indent=1))


if __name__ == "__main__":
    main()
