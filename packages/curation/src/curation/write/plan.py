"""What a build will write: samples in their shards, the composition, and a name for exactly that."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.config import config_sha256
from contracts.errors import UserError
from contracts.tables import MANIFEST
from curation.write.composition import Part, SeedCounts, composition
from curation.write.config import WriteConfig
from curation.write.derived import found_at
from curation.write.earlier_shards import MOST_SHARDS, EarlierShards, lay_out
from curation.write.shard_plan import plan_shards, shard_count

LAYOUT = 1
"""Raised when the same samples would give other bytes than before."""


@dataclass(frozen=True)
class BuildPlan:
    """Shards as tables of samples, in order. `plan_id`: sha256; equal plans give equal dataset folders.

    `held`: where shards are kept, the sha256 of what each holds, and `earlier` the dataset that they are kept from.
    """

    shards: Sequence[pa.Table]
    parts: Sequence[Part]
    sources: Mapping[str, int]
    samples: int
    image_bytes: int
    plan_id: str
    held: Sequence[str] = ()
    earlier: EarlierShards | None = None


def plan_build(
    samples: pa.Table,
    seeds: Sequence[SeedCounts],
    facts: Mapping[str, Any],
    settings: WriteConfig,
    earlier: EarlierShards | None = None,
) -> BuildPlan:
    """Cut samples (write.samples, sorted by key) into shards. `facts` are told by the card and part of the plan's name.

    `earlier`: the dataset whose shards are kept (with write.keep_shards).
    Errors: UserError when there is nothing to write.
    """
    if samples.num_rows == 0:
        raise UserError(
            "no image is kept, so there is no dataset to write: look at `curate explain` for one of them, or lower "
            "what the steps ask for"
        )
    if not settings.record_uri:
        samples = _without_places(samples)
    image_bytes = int(pc.sum(samples.column("byte_count")).as_py())
    shards = _cut(samples, settings, earlier)
    parts = composition(samples, seeds)
    told = config_sha256({"layout": LAYOUT, "write": settings.told(), "parts": [p.as_dict() for p in parts], **facts})
    held: list[str] = []
    if settings.keep_shards:
        beginning = config_sha256({"layout": LAYOUT, "record_uri": settings.record_uri})
        held = [_content_sha256(_at_originals(shard), beginning) for shard in shards]
        told = config_sha256({"told": told, "shards": held})
    return BuildPlan(
        shards=shards,
        parts=parts,
        sources=_counts(samples.column("source")),
        samples=samples.num_rows,
        image_bytes=image_bytes,
        plan_id=_content_sha256(_at_originals(samples), told),
        held=held,
        earlier=earlier,
    )


def _cut(samples: pa.Table, settings: WriteConfig, earlier: EarlierShards | None) -> list[pa.Table]:
    """Shards of all samples, shuffled together; with an earlier dataset, its shards, then those of the rest."""
    old, rest = lay_out(samples, earlier) if earlier else ([], samples)
    shards = [*old, *_shuffled(rest, settings)]
    return shards if len(shards) <= MOST_SHARDS * _count(samples, settings) else _shuffled(samples, settings)


def _shuffled(samples: pa.Table, settings: WriteConfig) -> list[pa.Table]:
    return plan_shards(samples, _count(samples, settings), settings.shuffle_seed)


def _count(samples: pa.Table, settings: WriteConfig) -> int:
    image_bytes = int(pc.sum(samples.column("byte_count")).as_py() or 0)
    return shard_count(samples.num_rows, image_bytes, settings.shard_samples, settings.shard_bytes)


def _without_places(samples: pa.Table) -> pa.Table:
    """Sources by their last name alone: /data/photos -> photos."""
    names = {
        name: name.rstrip("/").rpartition("/")[2] or name for name in pc.unique(samples.column("source")).to_pylist()
    }
    coded = samples.column("source").combine_chunks().dictionary_encode()
    short = pa.array([names[name] for name in coded.dictionary.to_pylist()], pa.string())
    return samples.set_column(samples.schema.get_field_index("source"), "source", short.take(coded.indices))


def _counts(values: pa.ChunkedArray) -> dict[str, int]:
    counted = {str(row["values"]): int(row["counts"]) for row in pc.value_counts(values).to_pylist()}
    return dict(sorted(counted.items()))


def _at_originals(samples: pa.Table) -> pa.Table:
    """Where derived bytes lie depends on the runs that made them; their keys say what they are."""
    return samples.set_column(samples.schema.get_field_index("uri"), "uri", found_at(samples))


def _content_sha256(table: pa.Table, beginning: str) -> str:
    """Hash of the values of a table, whatever the layout of its memory. Columns: text, whole numbers, fractions."""
    digest = hashlib.sha256(beginning.encode())
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        digest.update(f"{name} {column.type} {len(column)}\n".encode())
        digest.update(pc.is_valid(column).cast(pa.uint8()).to_numpy().tobytes())
        if pa.types.is_string(column.type):
            present = column.drop_null()
            digest.update(pc.binary_length(present).to_numpy().tobytes())
            for start in range(0, len(present), 1 << 16):
                digest.update("".join(present.slice(start, 1 << 16).to_pylist()).encode())
        else:
            digest.update(column.fill_null(0).to_numpy().tobytes())
    return digest.hexdigest()


def manifest_table(shards: Sequence[pa.Table]) -> pa.Table:
    """The manifest (contracts.tables.MANIFEST) of planned shards."""
    tables = []
    for number, shard in enumerate(shards):
        rows = pa.table({"shard": np.full(len(shard), number, np.int32), "row": np.arange(len(shard), dtype=np.int32)})
        for name in MANIFEST.schema.names:
            if name not in ("shard", "row"):
                rows = rows.append_column(name, shard.column(name))
        tables.append(rows.select(MANIFEST.schema.names))
    return pa.concat_tables(tables).cast(MANIFEST.schema)
