"""Retrieval of many queries: the k nearest of N base vectors for each of Q, as `curate retrieve` finds them.

    python benchmarks/retrieval.py --base 1000000 --queries 1000000

The vectors are those of selfjoin.py (topics and groups of copies); queries are others of the same topics. One thread.
CPU seconds hold the training of the lists and the assignment of the base. Recall: of the k nearest of 2,000 queries,
how many are found; `first`: how often the nearest is. Memory is the peak of the process without what Python and the
vectors of both sides take. Dimensions: N base rows, Q queries, D width, K neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from selfjoin import forget_peak, make_vectors, resident

from curation.engine import open_engine
from curation.index.plan import plan_index
from curation.index.search_parts import PartSearch

CHECKED = 2000


def true_nearest(base: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """Exact neighbours, the lower row on ties. Shapes: [N, D], [Q, D] -> int64 [Q, K]."""
    asked = queries.astype(np.float32)
    best = np.full((len(asked), k), -np.inf, np.float32), np.full((len(asked), k), -1, np.int64)
    for start in range(0, len(base), 65536):
        block = base[start : start + 65536].astype(np.float32)
        scores = np.concatenate([best[0], asked @ block.T], axis=1)
        rows = np.concatenate(
            [best[1], np.broadcast_to(np.arange(start, start + len(block)), (len(asked), len(block)))], axis=1
        )
        top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        best = np.take_along_axis(scores, top, axis=1), np.take_along_axis(rows, top, axis=1)
    order = np.lexsort((best[1], -best[0]), axis=1)
    return np.take_along_axis(best[1], order, axis=1)


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--neighbors", type=int, default=4)
    parser.add_argument("--probes", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "retrieval.json")
    asked = parser.parse_args()
    every = make_vectors(asked.base + asked.queries, asked.dim, seed=0)
    base, queries = every[: asked.base], every[asked.base :]
    plan = plan_index(asked.base, asked.dim, "faiss", probes=asked.probes)
    print(plan.describe())
    with tempfile.TemporaryDirectory() as scratch, open_engine("local", 1) as engine:
        floor = forget_peak()
        cpu, wall = time.process_time(), time.perf_counter()
        search = PartSearch(base, plan, 0, engine, Path(scratch))
        listed_cpu = time.process_time() - cpu
        _, rows = search.find(queries, np.arange(asked.queries), asked.neighbors)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        memory = resident("VmHWM") - floor
    chosen = np.sort(np.random.default_rng(1).choice(asked.queries, min(CHECKED, asked.queries), replace=False))
    truth = true_nearest(base, queries[chosen], asked.neighbors)
    hits = [len(np.intersect1d(a, b)) for a, b in zip(truth, rows[chosen], strict=True)]
    report = {
        "base": asked.base,
        "queries": asked.queries,
        "dim": asked.dim,
        "neighbors": asked.neighbors,
        "index": plan.describe(),
        "lists_cpu_s": round(listed_cpu, 1),
        "cpu_s": round(cpu, 1),
        "wall_s": round(wall, 1),
        "memory_bytes": memory,
        "recall": round(sum(hits) / truth.size, 4),
        "first": round(float((rows[chosen, 0] == truth[:, 0]).mean()), 4),
    }
    print(json.dumps(report, indent=1))
    known = json.loads(asked.out.read_text()) if asked.out.is_file() else {}
    known[f"{asked.base} x {asked.queries}"] = report
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
