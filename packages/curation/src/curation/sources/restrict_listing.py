"""A listing cut down to what a DataComp subset names."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.errors import UserError
from curation.sources.listing import Listing
from curation.sources.original_ids import archive_ids, table_ids
from curation.sources.uid_subset import UidSubset


def restrict(listing: Listing, subset: UidSubset) -> Listing:
    """The samples and rows of a source whose uid the subset names; what has no uid is not offered.

    Errors: UserError when the source has none of the uids.
    """
    cut = Listing(listing.source, restricted=True)
    for archive, description in listing.archives:
        table = archive_ids(archive)
        samples = table.column("sample").filter(pa.array(subset.holds(table.column("id").combine_chunks())))
        if len(samples):
            cut.archives.append((archive, description))
            cut.samples[archive] = samples.combine_chunks()
    for found, chosen in ((listing.tables, cut.tables), (listing.url_tables, cut.url_tables)):
        for path, _ in found:
            rows = _rows(path, subset)
            if len(rows):
                chosen.append((path, len(rows)))
                cut.rows[path] = rows
    if cut.empty():
        named = subset.counts(listing.source).named
        raise UserError(
            f"{listing.source} has none of the {named} uids that {subset.file} names: uids are looked for in the JSON "
            "of tars, in the table beside a tar, and in the column `uid` of tables"
        )
    return cut


def _rows(path: str, subset: UidSubset) -> NDArray[np.int64]:
    ids = table_ids(path)
    return np.flatnonzero(subset.holds(ids.combine_chunks())) if ids is not None else np.zeros(0, np.int64)
