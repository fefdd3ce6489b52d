"""Scores of a pool, part by part on the engine; what was scored by the same version is not scored again.

<scores>/<name>-<version>.parquet    key, value
<scores>/<name>-<version>/           parts, while the step is under way
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import UserError
from contracts.publish import remove_drafts
from contracts.tables import empty_table, read_table, write_table
from curation.catalog import part_file, part_numbers
from curation.engine import Engine
from curation.filters.scores.score import SCORES, Score, ScorePart


@dataclass(frozen=True)
class Scored:
    """`values`: columns key, value of the images that have one. `scored_now`: how many of them this run computed."""

    score: Score
    values: pa.Table
    scored_now: int


def score_pool(images: pa.Table, score: Score, folder: Path, engine: Engine) -> Scored:
    """Score what has no value of this version yet. `images`: columns key, uri, sorted by key."""
    stem = folder / f"{score.name}-{hashlib.sha256(score.version.encode()).hexdigest()[:12]}"
    file = stem.with_name(stem.name + ".parquet")
    before = _read(file)
    fresh = images.filter(pc.invert(pc.is_in(images.column("key"), value_set=before.column("key").combine_chunks())))
    parts = score.cut(fresh)
    if not parts:
        return Scored(score, before, 0)
    stem.mkdir(parents=True, exist_ok=True)
    remove_drafts(stem)
    waiting = [part for part in parts if not _is_published(stem, part)]
    worker = partial(score.make_worker, str(stem))
    for _ in engine.map_parts(worker, waiting, cpus=score.cpus, gpus=score.gpus, label=f"filter {score.name}"):
        pass
    new = pa.concat_tables([_read(part_file(stem, part.number)) for part in parts]).drop_null()
    values = pa.concat_tables([before, new]).sort_by("key").combine_chunks()
    write_table(file, values, SCORES)
    for number in part_numbers(stem):
        part_file(stem, number).unlink()
    stem.rmdir()
    return Scored(score, values, new.num_rows)


def _read(file: Path) -> pa.Table:
    """Values on disk; no rows when they are not there or cannot be read."""
    try:
        return read_table(file, SCORES) if file.is_file() else empty_table(SCORES)
    except UserError:
        return empty_table(SCORES)


def _is_published(folder: Path, part: ScorePart) -> bool:
    """Whether a killed run left this very part."""
    return bool(_read(part_file(folder, part.number)).column("key").to_pylist() == sorted(part.keys))
