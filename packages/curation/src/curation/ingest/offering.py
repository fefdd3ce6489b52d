"""What a call of ingest offers, as questions to put to the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.sources.download.store import store_folder
from curation.sources.listing import Listing
from curation.sources.original_ids import samples_of, table_ids
from curation.sources.uri import escape, file_uri, split_uri

FAILED = "failed-"


class Offering:
    """All listings of a call. `downloads`: where images that are given by address are kept."""

    def __init__(self, listings: Sequence[Listing], downloads: Path) -> None:
        self.sources = tuple(one.source for one in listings)
        self._downloads = downloads
        refused = [file_uri(path) for one in listings for path, _ in one.refused]
        self._files = pa.concat_arrays([pa.array(refused, pa.string()), *(one.files for one in listings)])
        self._pairs = {path: table for one in listings for path, table in one.archives if table}
        places = [path for one in listings for path, _ in (*one.archives, *one.tables, *one.url_tables)]
        self._containers = {escape(path) for path in (*places, *self._pairs.values())}
        self._restricted = [one for one in listings if one.restricted]
        self._whole = {
            escape(path)
            for one in listings
            if not one.restricted
            for path in (*(p for p, _ in (*one.archives, *one.tables, *one.url_tables)), *(t for _, t in one.archives))
        }

    def is_download(self, container: str) -> bool:
        """Whether a container of a uri holds images that were downloaded by address: these stay."""
        return container.startswith(f"{file_uri(self._downloads)}/")

    def offers(self, uris: pa.Array) -> NDArray[np.bool_]:
        """Which uris are offered. Shapes: [N] -> [N]."""
        inside = pc.match_substring(uris, "#").to_numpy(zero_copy_only=False)
        offered = np.array(pc.is_in(uris, value_set=self._files).to_numpy(zero_copy_only=False), bool)
        containers = pc.list_element(pc.split_pattern(uris, "#", max_splits=1), 0)
        for container in pc.unique(containers.filter(pa.array(inside))).to_pylist():
            mine = inside & pc.equal(containers, container).to_numpy(zero_copy_only=False)
            if self.is_download(container) or container in self._whole:
                offered |= mine
            elif container in self._containers:
                offered[mine] = self._chosen(split_uri(container)[0], uris.filter(pa.array(mine)))
        return offered

    def _chosen(self, path: str, uris: pa.Array) -> NDArray[np.bool_]:
        """Of one archive, its description or a table: which of its rows a subset names."""
        held = np.zeros(len(uris), bool)
        for listing in self._restricted:
            if path in listing.samples:
                rest = pc.ends_with(uris, "#")  # the row of an archive that broke off
                held |= pc.or_(pc.is_in(samples_of(uris), value_set=listing.samples[path]), rest).to_numpy(
                    zero_copy_only=False
                )
            elif path in listing.rows:
                held |= np.isin(_row_numbers(uris), listing.rows[path])
            else:
                held |= self._described(listing, path, uris)
        return held

    def _described(self, listing: Listing, table: str, uris: pa.Array) -> NDArray[np.bool_]:
        archive = next((path for path, described in listing.archives if described == table), None)
        keys = table_ids(table, "key") if archive is not None else None
        if archive is None or keys is None:
            return np.zeros(len(uris), bool)
        rows = _row_numbers(uris)
        asked = keys.take(pa.array(np.where(rows < len(keys), rows, 0))).combine_chunks()
        found = pc.is_in(asked, value_set=listing.samples[archive]).to_numpy(zero_copy_only=False)
        return np.asarray(found & (rows < len(keys)), bool)

    def renewed(self, containers: Iterable[str], touched: set[str]) -> set[str]:
        """Which containers (as in uris) are read again when some were touched: an archive goes with its description,
        and with what `--retry-failed` downloaded for that."""
        again, downloaded = set(touched), []
        for archive, table in self._pairs.items():
            if touched & {escape(archive), escape(table)}:
                again |= {escape(archive), escape(table)}
                downloaded.append(f"{file_uri(store_folder(self._downloads, table))}/{FAILED}")
        return {one for one in containers if one in again or one.startswith(tuple(downloaded))}

    def forget_downloads(self, touched: set[str]) -> None:
        """Remove what `--retry-failed` downloaded for descriptions that are read again."""
        for archive, table in self._pairs.items():
            if touched & {escape(archive), escape(table)}:
                for store in store_folder(self._downloads, table).glob(f"{FAILED}*.parquet"):
                    store.unlink()


def _row_numbers(uris: pa.Array) -> NDArray[np.int64]:
    rows = pc.list_element(pc.split_pattern(uris, "#", max_splits=1), 1)
    return np.asarray(rows.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)
