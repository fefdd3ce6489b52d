"""Connected components of a large graph whose edges arrive in blocks: CPU seconds and peak memory.

    python benchmarks/components.py [--nodes 10000000] [--edges 50000000] [--graphs random near groups]

random: both ends anywhere (one giant component); near: ends up to five nodes apart (long chains); groups: ends inside
groups of eight. Generating the edges is not counted; memory is that of the process, one block of edges included. Each
graph runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from curation.dedup.components import DisjointSet

BLOCK_EDGES = 4_000_000
FARTHEST, GROUP = 5, 8


def block(graph: str, nodes: int, edges: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Ends of so many edges. Shapes: int64 [edges] twice."""
    a = rng.integers(0, nodes, edges)
    if graph == "random":
        return a, rng.integers(0, nodes, edges)
    b = (
        a + rng.integers(1, FARTHEST + 1, edges)
        if graph == "near"
        else a // GROUP * GROUP + rng.integers(0, GROUP, edges)
    )
    return a, np.minimum(b, nodes - 1)


def measure(graph: str, nodes: int, edges: int) -> dict[str, object]:
    """Join all edges and label all nodes in this process."""
    rng, joined, seconds = np.random.default_rng(0), DisjointSet(nodes), 0.0
    for start in range(0, edges, BLOCK_EDGES):
        a, b = block(graph, nodes, min(BLOCK_EDGES, edges - start), rng)
        began = time.process_time()
        joined.join(a, b)
        seconds += time.process_time() - began
    began = time.process_time()
    labels = joined.labels()
    seconds += time.process_time() - began
    return {
        "graph": graph,
        "nodes": nodes,
        "edges": edges,
        "components": int(np.count_nonzero(labels == np.arange(nodes))),
        "cpu_seconds": round(seconds, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def main() -> None:
    """Every graph in its own process; a line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10_000_000)
    parser.add_argument("--edges", type=int, default=50_000_000)
    parser.add_argument("--graphs", nargs="+", default=["random", "near", "groups"])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "components.json")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one, asked.nodes, asked.edges)))
        return
    results = []
    for graph in asked.graphs:
        sizes = ["--nodes", str(asked.nodes), "--edges", str(asked.edges)]
        done = subprocess.run(
            [sys.executable, __file__, *sizes, "--one", graph], check=True, capture_output=True, text=True
        )
        results.append(json.loads(done.stdout))
        print(json.dumps(results[-1]), flush=True)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
