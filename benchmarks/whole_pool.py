"""A whole pool from files to a list of duplicates: `curate`, fastdup and imagededup on CIFAR-10's 60,000 pictures.

    python benchmarks/whole_pool.py TRAIN.parquet TEST.parquet --other-python others/bin/python \
        [--tools curate-descriptor,curate-phash,fastdup,imagededup-phash] [--images 60000]

Every twentieth picture is overwritten by a copy of the one before it, brightened by a tenth and compressed anew at
quality 50, so that there is something to find; CIFAR-10 has near duplicates of its own as well. Each tool is called as
its own documentation calls it, with two workers, in a process of its own. Found: planted copies tied to their original
by a pair (fastdup, imagededup) or a group (curate). Left out: pictures that go when one of each group, or of each
connected component of the pairs, stays. CPU seconds and wall seconds hold everything from the start of the process;
memory is the largest sum of the proportional resident sets of its processes.

`whole_pool_others.py` is the part that runs in the environment of the others (`pip install fastdup imagededup`).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
from PIL import Image, ImageEnhance
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from contracts.tables import GROUPS, SELECTION, read_table
from curation.catalog import read_catalog

EVERY, QUALITY, BRIGHTER = 20, 50, 1.1
TOOLS = ("curate-descriptor", "curate-phash", "fastdup", "imagededup-phash")
LOOK_EVERY_S = 0.5


def write_pool(tables: list[Path], folder: Path, images: int) -> int:
    """`images` files 00000.jpg, 00001.jpg, ...; those whose number is 19 modulo 20 are edited copies of the one before.

    Returns how many copies were planted.
    """
    folder.mkdir(parents=True)
    pictures = [
        row["bytes"] for table in tables for row in pq.read_table(table, columns=["image"])["image"].to_pylist()
    ]
    planted = 0
    for number, data in enumerate(pictures[:images]):
        if number % EVERY == EVERY - 1:
            data, planted = edited(pictures[number - 1]), planted + 1
        (folder / f"{number:05d}.jpg").write_bytes(data)
    return planted


def edited(data: bytes) -> bytes:
    """The picture, brighter and compressed anew."""
    out = io.BytesIO()
    ImageEnhance.Brightness(Image.open(io.BytesIO(data)).convert("RGB")).enhance(BRIGHTER).save(
        out, "JPEG", quality=QUALITY
    )
    return out.getvalue()


def watched(command: list[str]) -> dict[str, float]:
    """Run a command: CPU seconds with its children, wall seconds, peak of proportional resident bytes."""
    before, began, peak = sum(os.times()[2:4]), time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while process.poll() is None:
        peak = max(peak, _memory(process.pid))
        try:
            process.communicate(timeout=LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            continue
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return {"cpu_s": sum(os.times()[2:4]) - before, "wall_s": time.perf_counter() - began, "memory": float(peak)}


def _memory(pid: int) -> int:
    try:
        parent = psutil.Process(pid)
        return sum(process.memory_full_info().pss for process in [parent, *parent.children(recursive=True)])
    except psutil.Error:
        return 0


def by_curate(pool: Path, scratch: Path, model: str) -> dict[str, object]:
    """`curate init`, `ingest` and `dedup` with their defaults."""
    curate, workspace = str(Path(sys.executable).with_name("curate")), scratch / f"workspace-{model}"
    last = ["--workspace", str(workspace)]
    engine = ["--engine", "local", "--workers", "2"]
    steps = (["init", str(pool)], ["ingest", *engine], ["dedup", "--model", model, *engine])
    costs = [watched([curate, *words, *last]) for words in steps]
    catalog = read_catalog(workspace / "catalog", ["uri", "key"]).to_pydict()
    key_of = {int(Path(uri).stem): key for uri, key in zip(catalog["uri"], catalog["key"], strict=True) if key}
    groups = read_table(workspace / "dedup" / "groups.parquet", GROUPS, ["key", "group_id"]).to_pydict()
    group_of = dict(zip(groups["key"], groups["group_id"], strict=True))
    name = {number: group_of.get(key, key) for number, key in key_of.items()}
    kept = read_table(workspace / "selection.parquet", SELECTION, ["kept"])["kept"].to_pylist()
    found = sum(name[number] == name[number - 1] for number in range(EVERY - 1, len(name), EVERY))
    return {
        "cpu_s": sum(cost["cpu_s"] for cost in costs),
        "wall_s": sum(cost["wall_s"] for cost in costs),
        "memory": max(cost["memory"] for cost in costs),
        "planted_found": found,
        "left_out": len(name) - sum(kept),
    }


def by_other(pool: Path, scratch: Path, python: str, tool: str) -> dict[str, object]:
    """The other tool's own run, in its own environment."""
    result = scratch / f"{tool}.json"
    script = Path(__file__).with_name("whole_pool_others.py")
    cost = watched([python, str(script), tool, str(pool), str(scratch / tool), str(result)])
    told = json.loads(result.read_text())
    pairs, images = np.array(told.pop("pairs"), np.int64).reshape(-1, 2), told.pop("images")
    linked = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(images, images))
    label = connected_components(linked, directed=False)
    beside = np.flatnonzero((np.diff(pairs, axis=1)[:, 0] == 1) & (pairs[:, 1] % EVERY == EVERY - 1))
    return {**cost, **told, "planted_found": len(beside), "left_out": images - label[0], "pairs": len(pairs)}


def main() -> None:
    """One tool after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--other-python", default="others/bin/python")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "whole_pool.json")
    asked = parser.parse_args()
    report = json.loads(asked.out.read_text()) if asked.out.is_file() else {"tools": {}}
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        report["planted"] = write_pool(asked.tables, scratch / "pool", asked.images)
        report["images"] = asked.images
        for tool in asked.tools.split(","):
            family, _, model = tool.partition("-")
            if family == "curate":
                found = by_curate(scratch / "pool", scratch, model)
            else:
                found = by_other(scratch / "pool", scratch, asked.other_python, tool)
            report["tools"][tool] = {k: round(v, 1) if isinstance(v, float) else v for k, v in found.items()}
            print(tool, json.dumps(report["tools"][tool]))
            asked.out.parent.mkdir(parents=True, exist_ok=True)
            asked.out.write_text(json.dumps(report, indent=1) + "\n")
            shutil.rmtree(scratch / f"workspace-{model}", ignore_errors=True)


if __name__ == "__main__":
    main()
