"""What a new crawl costs beside the pool that is there: every step of the first run and of the run with the additions.

    python benchmarks/incremental.py [--images 100000] [--new 10000] [--model phash] [--work FOLDER]

Writes generated 64 px JPEGs to tars as `million.py` does, and the new ones (the numbers that follow) to tars of their
own. `curate ingest`, `dedup` (which embeds), `cluster` and `build` run over the first pool, then again in the same
workspace with the new tars as one more source; a second dataset is built with `write.keep_shards`. Another workspace
takes all images at once: what doing everything anew costs; what is kept must be the same. `start` is `curate --help`:
what every command costs before it does anything. CPU seconds are those of all processes of a command.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from million import run_step, write_pool

STEPS = ("ingest", "dedup", "cluster", "build", "build keeping shards")


def run_all(work: Path, workspace: Path, sources: list[Path], asked: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Every step over the sources. `work`: where reports go, so that what is finished is not done again."""
    work.mkdir(parents=True, exist_ok=True)
    place = ["--workspace", str(workspace), "--engine", "local", "--workers", str(asked.workers)]
    words = {
        "ingest": [*map(str, sources), *place],
        "dedup": ["--index", "faiss", "--model", asked.model, *place],
        "cluster": ["--model", asked.model, *place],
        "build": place,
        "build keeping shards": ["--set", "write.keep_shards=true", "--out", str(workspace / "kept"), *place],
    }
    costs = {}
    for step in STEPS:
        found = run_step(step.split()[0], words[step], work / f"{step.replace(' ', '-')}.json")
        costs[step] = {name: float(str(found[name])) for name in ("cpu_seconds", "wall_seconds")}
    return costs


def start_seconds() -> float:
    """CPU seconds of a command that does nothing, the least of three."""
    curate, taken = str(Path(sys.executable).with_name("curate")), []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([curate, "--help"], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return round(min(taken), 2)


def kept(workspace: Path) -> set[str]:
    """Keys that the selection keeps."""
    table = pq.read_table(workspace / "selection.parquet", columns=["key", "kept"])
    return set(table.filter(table.column("kept")).column("key").to_pylist())


def main() -> None:
    """Make the pools, run, compare, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--new", type=int, default=10_000)
    parser.add_argument("--model", default="phash", help="what dedup and cluster compare by")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", type=Path, help="folder for pools and workspaces (default: a temporary one)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "incremental.json")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        work = asked.work or Path(place)
        pool, crawl = work / "pool", work / "crawl"
        write_pool(pool, asked.images)
        write_pool(crawl, asked.new, first=asked.images)
        runs = {}
        for name, workspace, sources in (
            ("first", "grown", [pool]),
            ("added", "grown", [pool, crawl]),
            ("at once", "at-once", [pool, crawl]),
        ):
            folder = work / workspace
            run_step("init", [str(pool), "--workspace", str(folder)], work / f"{workspace}-init.json")
            runs[name] = run_all(work / name.replace(" ", "-"), folder, sources, asked)
        grown, anew = kept(work / "grown"), kept(work / "at-once")
    report = {
        **{name: getattr(asked, name) for name in ("images", "new", "model", "workers")},
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "start_seconds": start_seconds(),
        "kept": len(grown),
        "kept_only_grown": len(grown - anew),
        "kept_only_at_once": len(anew - grown),
        "cpu_seconds": {run: {step: runs[run][step]["cpu_seconds"] for step in STEPS} for run in runs},
        "wall_seconds": {run: {step: runs[run][step]["wall_seconds"] for step in STEPS} for run in runs},
    }
    for step in STEPS:
        first, added, anew_cost = (runs[run][step]["cpu_seconds"] for run in ("first", "added", "at once"))
        print(f"{step}: {first} CPU s, added {added} ({100 * added / first:.0f} %), at once {anew_cost}")
    print(f"kept {len(grown):,}; only when grown {len(grown - anew):,}, only at once {len(anew - grown):,}")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
