"""One value per image that a model gives: its bounds, what computed it, and how the work is cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from contracts.tables import TableSpec, write_table
from curation.catalog import part_file
from curation.filters.config import Bounds

SCORES = TableSpec(
    "winnow.filter-scores",
    1,
    pa.schema([pa.field("key", pa.string(), nullable=False), pa.field("value", pa.float64())]),
    ("key",),
    "curate filter",
)


class ScorePart(Protocol):
    """Images to score: a number and, in order, their keys."""

    @property
    def number(self) -> int: ...
    @property
    def keys(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Score:
    """`version` says which weights and computation give the values: those of another version are computed anew.

    `about`: what reports tell of it, without paths. `cut`: images (key, uri, sorted by key) -> parts; images that it
    leaves out get no value. `make_worker`: given the folder of the parts, a function that publishes one; picklable.
    """

    name: str
    bounds: Bounds
    version: str
    about: Mapping[str, Any]
    cut: Callable[[pa.Table], Sequence[Any]]
    make_worker: Callable[[str], Callable[[Any], int]]
    cpus: float = 1.0
    gpus: float = 0.0


def write_scores(folder: str, part: ScorePart, values: Sequence[float | None]) -> int:
    """Publish the values of a part, null where an image cannot be read. Returns how many have one."""
    column = pa.array(values, pa.float64())
    table = pa.table({"key": pa.array(part.keys, pa.string()), "value": column})
    write_table(part_file(Path(folder), part.number), table, SCORES)
    return int(pc.count(column).as_py())
