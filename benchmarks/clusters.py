"""k-means to many clusters: training by Faiss on a sample and the assignment of every vector, as `curate cluster` does.

    python benchmarks/clusters.py --rows 1000000 --clusters 100000 --dim 64 --iterations 2 --train-per-cluster 10

The vectors are those of selfjoin.py. One thread. CPU seconds of training and of assignment, and both as floating point
operations per second (2 D per vector and centroid), from which other sizes can be told. `cosine`: mean cosine of a
vector to its centroid. Memory is the peak of the process without what Python and the vectors take. Dimensions: N rows,
D width, K clusters.
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
from curation.index.assign_parts import PartAssigner
from curation.index.kmeans import train_centroids, training_rows


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--clusters", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--train-per-cluster", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "clusters.json")
    asked = parser.parse_args()
    vectors = make_vectors(asked.rows, asked.dim, seed=0)
    floor = forget_peak()
    cpu = time.process_time()
    sample = training_rows(len(vectors), asked.clusters * asked.train_per_cluster, 0)
    centroids = train_centroids(vectors[sample], asked.clusters, asked.iterations, 0)
    train_s = time.process_time() - cpu
    with tempfile.TemporaryDirectory() as scratch, open_engine("local", 1) as engine:
        cpu = time.process_time()
        found = PartAssigner(engine, Path(scratch))(vectors, centroids)
        assign_s = time.process_time() - cpu
    sizes = np.bincount(found.cluster, minlength=asked.clusters)
    products = 2.0 * asked.dim * asked.clusters
    report = {
        "rows": asked.rows,
        "dim": asked.dim,
        "clusters": asked.clusters,
        "iterations": asked.iterations,
        "trained_on": len(sample),
        "train_cpu_s": round(train_s, 1),
        "assign_cpu_s": round(assign_s, 1),
        "train_gflops": round(products * len(sample) * asked.iterations / train_s / 1e9, 1),
        "assign_gflops": round(products * asked.rows / assign_s / 1e9, 1),
        "memory_bytes": resident("VmHWM") - floor,
        "cosine": round(float(found.cosine.mean()), 4),
        "empty": int((sizes == 0).sum()),
        "largest": int(sizes.max()),
    }
    print(json.dumps(report, indent=1))
    known = json.loads(asked.out.read_text()) if asked.out.is_file() else {}
    known[f"{asked.rows} into {asked.clusters}"] = report
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
