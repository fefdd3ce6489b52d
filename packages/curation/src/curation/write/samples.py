"""Which images the dataset holds, each with where it is and why it is in.

The kept images of the pool, and the seed images that join as they are and are not in the pool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from curation.write.attribution import ORIGINS, attribute

IMAGE_COLUMNS = ("key", "uri", "source", "byte_count", "format", "width_px", "height_px")


def plan_samples(
    pool: pa.Table,
    kept_keys: pa.Array,
    groups: pa.Table | None,
    retrievals: Sequence[pa.Table],
    seed_images: Mapping[str, pa.Table],
) -> pa.Table:
    """A row per sample, sorted by key: IMAGE_COLUMNS, origin, seed, mode, query_key, cosine, group_id.

    `pool`, `seed_images[seed]`: one row per key (IMAGE_COLUMNS). An image of both is taken from the pool.
    """
    credit = attribute(retrievals)
    images = _images(pool).filter(pc.is_in(pool.column("key"), value_set=kept_keys))
    own = credit.filter(pc.equal(credit.column("mode"), "as_is"))
    parts, known = [images], images.column("key")
    for name in sorted(seed_images):
        table = _images(seed_images[name])
        wanted = own.filter(pc.equal(own.column("seed"), name)).column("key")
        key = table.column("key")
        new = pc.and_(pc.is_in(key, value_set=wanted), pc.invert(pc.is_in(key, value_set=known)))
        parts.append(table.filter(new))
    samples = pa.concat_tables(parts).sort_by("key")
    return _with_reasons(samples, credit, groups)


def _with_reasons(samples: pa.Table, credit: pa.Table, groups: pa.Table | None) -> pa.Table:
    keys = samples.column("key")
    place = pc.index_in(keys, value_set=credit.column("key"))
    for name in ("seed", "mode", "query_key", "cosine"):
        samples = samples.append_column(name, pc.take(credit.column(name), place))
    mode = pc.index_in(samples.column("mode"), value_set=pa.array(list(ORIGINS)))
    origin = pc.fill_null(pc.take(pa.array(list(ORIGINS.values())), mode), "pool")
    samples = samples.append_column("origin", origin)
    group: pa.Array = pa.nulls(len(samples), pa.string())
    if groups is not None:
        group = pc.take(groups.column("group_id"), pc.index_in(keys, value_set=groups.column("key")))
    return samples.append_column("group_id", group)


def _images(table: pa.Table) -> pa.Table:
    """The columns that writing needs, with plain text in place of dictionaries."""
    arrays = {}
    for name in IMAGE_COLUMNS:
        column = table.column(name)
        arrays[name] = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    return pa.table(arrays)
