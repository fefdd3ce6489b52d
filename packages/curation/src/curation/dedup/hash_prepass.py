"""The pre-pass: pictures of one perceptual hash count as one picture before any vector is computed.

Source: DINOv2 (arXiv 2304.07193), appendix A.3 removes duplicates by a hash before it embeds; neither the hash nor its
tolerance is stated. Differs: the 64-bit DCT hash of the catalogue, equal in all bits, and off unless asked for. A
picture whose hash is 0 (one grey value) has none.

Dimensions: C copies, G rows of groups.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.tables import GROUPS
from curation.catalog import unique_images
from curation.dedup.representative import keeping_order, key_order

NO_COPIES = pa.table({"key": pa.array([], pa.string()), "of": pa.array([], pa.string())})


def same_hash(catalog_folder: Path, filtered: pa.Array) -> pa.Table:
    """Columns key, of: every image whose hash a picture has that is kept before it, and that picture; sorted by key.

    `filtered`: keys that filters drop; they stand for a hash only when all of its pictures are filtered.
    """
    images = unique_images(catalog_folder, ("width_px", "height_px", "byte_count", "phash"))
    images = images.filter(pc.fill_null(pc.not_equal(images.column("phash"), pa.scalar(0, pa.uint64())), False))
    if images.num_rows == 0:
        return NO_COPIES
    keys = images.column("key").cast(pa.string()).combine_chunks()
    width, height, size = (
        images.column(name).fill_null(0).to_numpy().astype(np.int64) for name in ("width_px", "height_px", "byte_count")
    )
    out = pc.is_in(keys, value_set=filtered).to_numpy(zero_copy_only=False)
    priority = keeping_order(width, height, size, key_order(keys), out)
    hashes = images.column("phash").to_numpy()
    order = np.lexsort((priority, hashes))
    first = np.flatnonzero(np.diff(hashes[order], prepend=~hashes[order[:1]]))
    stands = np.empty(len(order), np.int64)
    stands[order] = order[np.repeat(first, np.diff(np.append(first, len(order))))]
    copies = np.flatnonzero(stands != np.arange(len(order)))
    return pa.table({"key": keys.take(pa.array(copies)), "of": keys.take(pa.array(stands[copies]))})


def with_hash_copies(groups: pa.Table, copies: pa.Table) -> pa.Table:
    """Groups (contracts.tables.GROUPS) of the pictures that were compared, with the copies that they stand for.

    A copy is in the group of its picture and leaves with it: `same_hash: of KEY`, or the picture's `reference: SET`.
    """
    if copies.num_rows == 0:
        return groups
    of = copies.column("of").combine_chunks()
    alone = pc.unique(of.filter(pc.invert(pc.is_in(of, value_set=groups.column("key").combine_chunks()))))
    known = pa.concat_tables([groups, _rows(alone, alone, kept=True, reason=alone)])
    place = pc.index_in(of, value_set=known.column("key").combine_chunks())
    why = pc.take(known.column("reason").combine_chunks(), place)
    leaves = pc.fill_null(pc.starts_with(why, "reference: "), False)
    reason = pc.if_else(leaves, why, pc.binary_join_element_wise("same_hash: of ", of, ""))
    group = pc.take(known.column("group_id").combine_chunks(), place)
    own = _rows(copies.column("key").combine_chunks(), group, kept=False, reason=reason)
    return _counted(pa.concat_tables([known, own]))


def _rows(keys: pa.Array, group: pa.Array, *, kept: bool, reason: pa.Array) -> pa.Table:
    """Rows of groups whose sizes are not counted yet."""
    one = pa.array(np.ones(len(keys), np.int32))
    columns = {"key": keys, "group_id": group, "group_size": one, "kept": pa.array([kept] * len(keys), pa.bool_())}
    return pa.table({**columns, "reason": reason}, schema=GROUPS.schema)


def _counted(rows: pa.Table) -> pa.Table:
    """The rows with the sizes of their groups, and those sizes in the reasons of what is kept."""
    group = rows.column("group_id").combine_chunks()
    counts = pc.value_counts(group)
    size = pc.take(counts.field("counts"), pc.index_in(group, value_set=counts.field("values"))).cast(pa.int32())
    told = pc.binary_join_element_wise("representative: of ", size.cast(pa.string()), " images", "")
    reason = pc.if_else(rows.column("kept").combine_chunks(), told, rows.column("reason").combine_chunks())
    rows = rows.set_column(rows.schema.get_field_index("group_size"), "group_size", size)
    return rows.set_column(rows.schema.get_field_index("reason"), "reason", reason)
