"""How long `curate explore` takes over a workspace: to open, and to find the neighbours of an image.

    python benchmarks/explorer.py WORKSPACE [--model descriptor] [--queries 200]

The queries go through the application as the page's do (HTTP parsing, JSON), not over a socket.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient

from curation.api import Workspace
from curation.explore.access import Access
from curation.explore.app import make_app
from curation.explore.explorer import Explorer


def milliseconds(page: TestClient, address: str, **asked: object) -> float:
    """Of one answer."""
    began = time.perf_counter()
    answer = page.get(address, params=asked)
    took = 1000 * (time.perf_counter() - began)
    answer.raise_for_status()
    return took


def main() -> None:
    """Medians and the slowest of twenty, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--model", default="descriptor")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "explorer.json")
    asked = parser.parse_args()
    began = time.perf_counter()
    workspace = Workspace(asked.workspace)
    explorer = Explorer(workspace, workspace.config())
    opened = time.perf_counter() - began
    rows = np.random.default_rng(0).integers(0, len(explorer), asked.queries)
    keys = [explorer.catalogued.keys[row].decode() for row in rows]
    with TestClient(make_app(explorer, Access("127.0.0.1")), base_url="http://127.0.0.1") as page:
        first = milliseconds(page, f"/api/neighbours/{keys[0]}", model=asked.model)
        near = [milliseconds(page, f"/api/neighbours/{key}", model=asked.model) for key in keys]
        pictures = [milliseconds(page, f"/picture/{key}") for key in keys]
        drawn = milliseconds(page, "/api/map", model=asked.model)
    report = {
        "images": len(explorer),
        "model": asked.model,
        "open_seconds": round(opened, 2),
        "first_query_ms": round(first, 1),
        "neighbours_ms": round(statistics.median(near), 1),
        "neighbours_ms_95": round(float(np.percentile(near, 95)), 1),
        "picture_ms": round(statistics.median(pictures), 1),
        "map_of_20000_ms": round(drawn, 1),
    }
    print(json.dumps(report, indent=1))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
