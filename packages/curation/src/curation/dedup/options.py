"""Command-line options of dedup as settings: what is given on the command line goes before curate.yaml."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def dedup_overrides(options: Mapping[str, Any]) -> list[str]:
    """`section.key=value` texts for the options that were given. `index` names a kind."""
    texts = []
    for name, value in options.items():
        if value is None or value == []:
            continue
        chosen = {"kind": value} if name == "index" else value
        texts.append(f"dedup.{name}={json.dumps(chosen)}")
    return texts
