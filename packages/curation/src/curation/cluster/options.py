"""Command-line options of cluster and sample as settings: what is given on the command line goes before curate.yaml."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from contracts.errors import UserError


def cluster_overrides(options: Mapping[str, Any]) -> list[str]:
    """`cluster.key=value` texts for the options that were given. `level_clusters` is numbers with commas."""
    texts = []
    for name, value in options.items():
        if value is not None:
            chosen = _numbers(value) if name == "level_clusters" else value
            texts.append(f"cluster.{name}={json.dumps(chosen)}")
    return texts


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise UserError(f"--levels is {text!r}: give numbers of clusters, finest first, such as 10000,500,50")
    return [int(part) for part in parts]
