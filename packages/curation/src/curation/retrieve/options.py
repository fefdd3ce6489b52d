"""Options of `curate retrieve` as settings: `--per-query 8` is `--set retrieve.per_query=8`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def retrieve_overrides(options: Mapping[str, Any]) -> list[str]:
    """The given options as `section.key=value` texts; what was not given leaves curate.yaml as it is."""
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    return [f"retrieve.{name}={json.dumps(value)}" for name, value in given.items()]
