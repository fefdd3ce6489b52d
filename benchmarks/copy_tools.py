"""Copy detectors to compare, each as: describe every image, then score pairs of them.

Embedders of this project run in this process. Other tools run in the interpreter that has them
(`copy_other_tools.py`), so that what they pin need not agree with what this project needs.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from copy_scores import ScoredPairs, Truth

from curation.decode import decode_rgb
from curation.embed.table import load_embedder
from curation.index.join import self_join
from curation.index.plan import plan_index

OTHER_TOOLS = ("phash-imagehash", "pdq", "pdq-dihedral", "fastdup")
OURS = ("descriptor", "phash", "scene")
# Pairs below it are never asked for; micro-AP counts them as missed.
LOWEST_COSINE = 0.25


@dataclass(frozen=True)
class Outcome:
    """What a tool found. Units: CPU seconds of reading, decoding and describing, and of searching (None: not known
    apart). `unread`: images that it did not describe. `threshold`: its own for "the same picture".
    """

    pairs: ScoredPairs
    threshold: float | None
    describe_seconds: float
    search_seconds: float | None
    unread: int
    version: str


class NotHere(Exception):
    """A tool that cannot be run, and why."""


def run_embedder(spec: str, truth: Truth) -> Outcome:
    """An embedder of the table, a model folder or a TorchScript file."""
    embedder = load_embedder(spec)
    # Libraries are imported and tables filled by the first image.
    embedder.embed_images([np.zeros((64, 64, 3), np.uint8)])
    started = time.process_time()
    vectors = np.concatenate(
        [
            embedder.embed_images([decode_rgb((truth.folder / path).read_bytes(), max_side_px=embedder.max_side_px)])
            for path in truth.paths
        ]
    ).astype(np.float16)
    described = time.process_time()
    plan = plan_index(len(vectors), embedder.dim, "exact")
    pairs = self_join(vectors, LOWEST_COSINE, plan, odd_dims=embedder.odd_dims)
    searched = time.process_time()
    scored = ScoredPairs(pairs.a, pairs.b, pairs.cosine)
    return Outcome(
        scored, embedder.default_threshold, described - started, searched - described, 0, f"version {embedder.version}"
    )


def run_other(name: str, truth: Truth, python: Path, scratch: Path) -> Outcome:
    """A tool of `copy_other_tools.py`, run by the interpreter that has it. Errors: NotHere."""
    script, out = Path(__file__).with_name("copy_other_tools.py"), scratch / f"{name}.npz"
    paths = scratch / "paths.txt"
    paths.write_text("\n".join(str((truth.folder / path).resolve()) for path in truth.paths))
    ran = subprocess.run(
        [str(python), str(script), name, str(paths), str(out), str(scratch)], capture_output=True, text=True
    )
    if ran.returncode != 0 or not out.is_file():
        raise NotHere((ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"])[-1])
    facts = json.loads(ran.stdout.strip().splitlines()[-1])
    with np.load(out, allow_pickle=False) as found:
        pairs = ScoredPairs(found["a"], found["b"], found["score"])
    return Outcome(pairs=pairs, **facts)
