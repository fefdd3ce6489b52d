"""What the catalogue holds already, so that nothing is read twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.sources.download.store import store_folder
from curation.sources.listing import Listing
from curation.sources.original_ids import samples_of, table_ids
from curation.sources.uri import escape, member_uri


class Known:
    """What the catalogue holds, and what an earlier source of the same call offers. `downloads`: their folder."""

    def __init__(self, uris: pa.Array, downloads: Path) -> None:
        inside = uris.filter(pc.match_substring(uris, "#"))
        containers = pc.list_element(pc.split_pattern(inside, "#", max_splits=1), 0)
        self._containers = set(pc.unique(containers).to_pylist())
        self._uris = uris
        self._downloads = downloads

    def add(self, listing: Listing) -> None:
        """What this source offers is offered."""
        self._uris = pa.concat_arrays([self._uris, listing.files])
        if not listing.restricted:
            self._containers |= {escape(path) for path, _ in [*listing.archives, *listing.tables, *listing.url_tables]}

    def fresh(self, uris: pa.Array) -> pa.Array:
        """Uris that are not known yet."""
        return uris.filter(pc.invert(pc.is_in(uris, value_set=self._uris)))

    def has(self, container: str) -> bool:
        """Whether an archive or table is known at all."""
        return escape(container) in self._containers

    def has_row(self, table: str, rows: Sequence[int]) -> bool:
        """Whether one of these rows of a table is known."""
        if escape(table) not in self._containers:
            return False
        asked = pa.array([member_uri(table, row) for row in rows])
        return bool(pc.any(pc.is_in(asked, value_set=self._uris)).as_py())

    def fresh_samples(self, archive: str, description: str, samples: pa.Array) -> pa.Array:
        """Which samples of an archive are not known, neither as images nor as rows of its description that failed."""
        within = self._within(archive)
        if pc.any(pc.equal(within, member_uri(archive, ""))).as_py():
            return samples.slice(0, 0)  # it broke off: its rest is in quarantine, for --retry-failed
        known = samples_of(within)
        fresh = samples.filter(pc.invert(pc.is_in(samples, value_set=known)))
        rows = self._rows_of(description) if description and len(fresh) else np.zeros(0, np.int64)
        keys = table_ids(description, "key") if len(rows) else None
        if keys is None:
            return fresh
        return fresh.filter(pc.invert(pc.is_in(fresh, value_set=keys.take(pa.array(rows)).combine_chunks())))

    def fresh_rows(self, table: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which rows of a table are not known, neither as such nor as downloads."""
        return np.setdiff1d(rows, self._rows_of(table))

    def _within(self, container: str) -> pa.Array:
        if not self.has(container):
            return self._uris.slice(0, 0)
        return self._uris.filter(pc.starts_with(self._uris, f"{escape(container)}#"))

    def _rows_of(self, table: str) -> NDArray[np.int64]:
        uris = self._within(table)
        own = pc.list_element(pc.split_pattern(uris, "#", max_splits=1), 1).cast(pa.int64()).to_numpy()
        folder = store_folder(self._downloads, table)
        stores = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
        rows = [pq.read_table(store, columns=["row"]).column(0).to_numpy() for store in stores if self.has(str(store))]
        return np.unique(np.concatenate([own.astype(np.int64), *rows]))
