"""The threshold self-join side by side: our indexes, Faiss's own, and brute force, over vectors with planted groups.

    python benchmarks/selfjoin.py --rows 100000
    python benchmarks/selfjoin.py --rows 1000000 --methods ivf --truth-rows 20000

Prints CPU seconds (all threads, training and assignment included), wall seconds, peak resident memory of the join in
bytes per byte of the float16 vectors (those that are mapped included), and recall of the pairs above the cosine: of all
pairs, and of pairs of rows with at most 63 partners (a k of 64 could find them). Each method runs in its own process.
Dimensions: N rows, D width.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

from curation.index.join import Pairs, self_join
from curation.index.plan import plan_index
from curation.index.threads import load_faiss

METHODS = ("exact", "ivf", "faiss-ivf-flat", "faiss-hnsw")
NEIGHBORS = 64


def make_vectors(rows: int, dim: int, seed: int) -> np.ndarray:
    """Unit float16 rows: topics whose members lie up to cosine 0.55 apart (hard negatives), and a fifth of the rows in
    groups of copies, most of 2 to 8, some of hundreds, with cosines from 0.5 to 0.95. Shapes: [N, D].
    """
    rng = np.random.default_rng(seed)
    topics = rng.standard_normal((max(8, rows // 200), dim)).astype(np.float32)
    topics /= np.linalg.norm(topics, axis=1, keepdims=True)
    out = np.empty((rows, dim), np.float16)
    for start in range(0, rows, 65536):
        count = min(65536, rows - start)
        noise = rng.standard_normal((count, dim)).astype(np.float32) / np.float32(dim**0.5)
        share = rng.uniform(0.2, 0.74, (count, 1)).astype(np.float32)
        topic = topics[rng.integers(0, len(topics), count)]
        out[start : start + count] = _unit(share * topic + np.sqrt(1 - share**2) * noise)
    _plant_groups(out, rng)
    return out


def _plant_groups(vectors: np.ndarray, rng: np.random.Generator) -> None:
    rows, dim = vectors.shape
    order, done, end = rng.permutation(rows), 0, rows // 5
    while done < end:
        size = int(rng.integers(2, 9)) if rng.random() < 0.999 else int(rng.integers(64, 400))
        members = order[done : done + size]
        base = vectors[members[0]].astype(np.float32)
        # cosine of a copy to its base: 0.72 to 0.98, so of two copies: 0.5 to 0.95
        near = rng.uniform(0.72, 0.98, (len(members), 1)).astype(np.float32)
        noise = rng.standard_normal((len(members), dim)).astype(np.float32) / np.float32(dim**0.5)
        vectors[members] = _unit(near * base + np.sqrt(1 - near**2) * noise)
        done += size


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def run_method(name: str, vectors: np.ndarray, asked: argparse.Namespace) -> Pairs:
    """Pairs above the cosine by one method."""
    rows, dim = vectors.shape
    if name in ("exact", "ivf"):
        plan = plan_index(rows, dim, name, asked.lists, asked.probes, asked.overlap)
        print(plan.describe(), file=sys.stderr)
        return self_join(vectors, asked.cosine, plan)
    faiss = load_faiss()
    floats = vectors.astype(np.float32)
    if name == "faiss-ivf-flat":
        plan = plan_index(rows, dim, "ivf", asked.lists, asked.probes)
        index = faiss.index_factory(dim, f"IVF{plan.lists},Flat", faiss.METRIC_INNER_PRODUCT)
        index.train(floats[np.random.default_rng(0).permutation(rows)[: 64 * plan.lists]])
        index.nprobe = plan.probes
    else:
        index = faiss.index_factory(dim, "HNSW32,Flat", faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efSearch = NEIGHBORS
    index.add(floats)
    cosine, other = index.search(floats, NEIGHBORS)
    a = np.repeat(np.arange(rows), NEIGHBORS)
    keep = (cosine.ravel() > asked.cosine) & (other.ravel() != a)
    low, high = np.minimum(a, other.ravel())[keep], np.maximum(a, other.ravel())[keep]
    _, first = np.unique(low * rows + high, return_index=True)
    return Pairs(low[first], high[first], cosine.ravel()[keep][first])


def true_pairs(vectors: np.ndarray, min_cosine: float, sample: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a sample of rows with every row. Shapes: int64 [P], low * N + high; partners [N], -1 unknown."""
    rows = len(vectors)
    if sample is None or sample >= rows:
        pairs = self_join(vectors, min_cosine, plan_index(rows, vectors.shape[1], "exact"))
        return pairs.a * rows + pairs.b, np.bincount(np.concatenate([pairs.a, pairs.b]), minlength=rows)
    chosen = np.sort(np.random.default_rng(1).choice(rows, sample, replace=False))
    floats, codes = vectors[chosen].astype(np.float32), []
    for start in range(0, rows, 2048):
        i, j = np.nonzero(floats @ vectors[start : start + 2048].astype(np.float32).T > min_cosine)
        a, b = chosen[i], j + start
        codes.append((np.minimum(a, b) * rows + np.maximum(a, b))[a != b])
    flat = np.unique(np.concatenate(codes))
    partners = np.full(rows, -1)
    partners[chosen] = np.bincount(np.concatenate([flat // rows, flat % rows]), minlength=rows)[chosen]
    return flat, partners


def resident(field: str) -> int:
    """Bytes of this process from /proc: VmRSS now, VmHWM at most; mapped vectors that were read count as well."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def forget_peak() -> int:
    """Begin a new peak (a process has its parent's from the start). Returns what is resident now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return resident("VmRSS")


def measure(folder: Path, asked: argparse.Namespace) -> dict[str, object]:
    """Run one method in this process and score it against the truth on disk."""
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    before = resource.getrusage(resource.RUSAGE_SELF)
    started, base_bytes = time.perf_counter(), forget_peak()
    pairs = run_method(asked.one, vectors, asked)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    peak = resident("VmHWM")
    truth, partners = np.load(folder / "truth.npy"), np.load(folder / "partners.npy")
    rows = len(vectors)
    hit = np.isin(truth, pairs.a * rows + pairs.b, assume_unique=True)
    few = np.maximum(partners[truth // rows], partners[truth % rows]) <= NEIGHBORS - 1
    return {
        "method": asked.one,
        "rows": rows,
        "pairs": len(pairs),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "wall_seconds": round(wall, 1),
        "peak_bytes_per_fp16_byte": round((peak - base_bytes) / (rows * vectors.shape[1] * 2), 2),
        "recall_all": round(float(hit.mean()), 4),
        "recall_few_partners": round(float(hit[few].mean()), 4),
    }


def main() -> None:
    """Make the vectors and the truth once, then run every method in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--cosine", type=float, default=0.6)
    parser.add_argument("--methods", default="exact,ivf,faiss-ivf-flat")
    parser.add_argument("--lists", type=int)
    parser.add_argument("--probes", type=int, help="of Faiss's own index")
    parser.add_argument("--overlap", type=float, help="of ours")
    parser.add_argument("--truth-rows", type=int, default=20_000, help="rows whose pairs are known exactly")
    parser.add_argument("--folder", type=Path, help="where vectors and truth are kept between runs")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.folder, asked)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "truth.npy").is_file():
            vectors = make_vectors(asked.rows, asked.dim, seed=0)
            truth, partners = true_pairs(vectors, asked.cosine, asked.truth_rows)
            np.save(folder / "vectors.npy", vectors)
            np.save(folder / "partners.npy", partners)
            np.save(folder / "truth.npy", truth)
        results = []
        for name in asked.methods.split(","):
            command = [sys.executable, __file__, *sys.argv[1:], "--one", name, "--folder", str(folder)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            results.append(json.loads(done.stdout))
            print(json.dumps(results[-1]), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
