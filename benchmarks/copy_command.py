"""What the real commands do to the whole corpus: `curate init`, `ingest`, `dedup` with their defaults.

Counts which distinct pictures lose every image (a false merge that hides a picture) and which copies stay.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from copy_scores import Truth, found_copies, merged

from contracts.tables import GROUPS, SELECTION, read_table
from curation.catalog import read_catalog

STEPS = ("ingest", "dedup")


def run_commands(truth: Truth, scratch: Path) -> dict[str, object]:
    """Run in a new workspace under `scratch`. `cpu_ms_per_image`: of each whole command, start of Python included."""
    workspace = scratch / "workspace"
    curate = [str(Path(sys.executable).with_name("curate"))]
    _run([*curate, "init", str(truth.folder / "images"), "--workspace", str(workspace)])
    cost = {}
    for step in STEPS:
        started = _cpu()
        _run([*curate, step, "--workspace", str(workspace), "--engine", "local", "--workers", "1"])
        cost[step] = round(1000 * (_cpu() - started) / len(truth.paths), 2)
    return {"tool": "curate dedup", **_judged(truth, workspace), "cpu_ms_per_image": cost}


def _judged(truth: Truth, workspace: Path) -> dict[str, object]:
    """Every image's group (its own where it has none) and fate, against the truth."""
    catalog = read_catalog(workspace / "catalog", ["uri", "key"])
    key_of = {
        Path(uri).name: key for uri, key in zip(*(catalog[name].to_pylist() for name in ("uri", "key")), strict=True)
    }
    keys = [key_of.get(Path(path).name) for path in truth.paths]
    groups = read_table(workspace / "dedup" / "groups.parquet", GROUPS, ["key", "group_id"]).to_pydict()
    group_of = dict(zip(groups["key"], groups["group_id"], strict=True))
    names = [group_of.get(key, key) or f"unread {row}" for row, key in enumerate(keys)]
    labels = np.unique(names, return_inverse=True)[1]
    selection = read_table(workspace / "selection.parquet", SELECTION, ["key", "kept"]).to_pydict()
    kept = {key for key, stays in zip(selection["key"], selection["kept"], strict=True) if stays}
    stays = np.array([key in kept for key in keys])
    with_one = len(np.unique(truth.group[stays]))
    hits = labels[truth.copy] == labels[truth.original_of]
    return {
        "images": len(truth.paths),
        "not_catalogued": sum(key is None for key in keys),
        "kept": len(kept),
        "ideal": truth.groups,
        "pictures_lost": truth.groups - with_one,
        "copies_left": len(kept) - with_one,
        **found_copies(truth, hits.tolist()),
        "merged": merged(truth, labels),
    }


def _run(command: list[str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {ran.returncode}: {ran.stderr.strip()}")


def _cpu() -> float:
    """CPU seconds of the children that ended."""
    times = os.times()
    return times.children_user + times.children_system
