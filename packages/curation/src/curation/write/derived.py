"""Samples whose bytes are derived ones: the original's place in the plan goes to the derived image."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

REPLACED = ("key", "uri", "byte_count", "format")
ADDED = ("original_key", "original_uri", "faces_blurred")


def with_derived(samples: pa.Table, derived: pa.Table) -> pa.Table:
    """Samples (write.samples) with key, uri, byte_count and format of their derived images, sorted by key.

    `derived`: original_key, key, uri, byte_count, format, faces; a row per image that has one. Adds ADDED, null where
    the bytes are the original's. Originals that become one image (copies in another container) give one sample.
    """
    if derived.num_rows == 0:
        return samples
    place = pc.index_in(samples.column("key"), value_set=derived.column("original_key").combine_chunks())
    has = pc.is_valid(place)
    own = {name: samples.column(name) for name in REPLACED}
    for name in REPLACED:
        column = pc.take(derived.column(name).combine_chunks(), place).cast(own[name].type)
        samples = samples.set_column(samples.schema.get_field_index(name), name, pc.if_else(has, column, own[name]))
    samples = samples.append_column("original_key", pc.if_else(has, own["key"], None))
    samples = samples.append_column("original_uri", pc.if_else(has, own["uri"], None))
    samples = samples.append_column("faces_blurred", pc.take(derived.column("faces").combine_chunks(), place))
    samples = samples.sort_by([("key", "ascending"), ("original_key", "ascending")])
    keys = samples.column("key").combine_chunks()
    first = pa.concat_arrays([pa.array([True]), pc.not_equal(keys[1:], keys[:-1])])
    return samples.filter(first).combine_chunks()


def found_at(samples: pa.Table) -> pa.ChunkedArray:
    """Where the originals were found; of samples without derived images their own uri."""
    if "original_uri" not in samples.column_names:
        return samples.column("uri")
    return pc.coalesce(samples.column("original_uri"), samples.column("uri"))
