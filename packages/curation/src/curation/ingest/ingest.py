"""The ingest step: list what is offered, catalogue what is new, count what cannot be used."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from contracts.errors import UserError
from contracts.publish import publish_json, read_json, remove_drafts
from curation.catalog import part_numbers, read_catalog, reason_counts
from curation.engine import Engine
from curation.ingest.catalogue_part import make_worker
from curation.ingest.config import IngestConfig
from curation.ingest.gone_or_changed import Changes, settle_changes
from curation.ingest.offering import Offering
from curation.ingest.parts import PartSizes, plan_parts
from curation.sources.listing import Listing, list_source
from curation.sources.restrict_listing import restrict
from curation.sources.uid_subset import SubsetCounts, UidSubset

SUBSETS = "subsets.json"


@dataclass(frozen=True)
class IngestReport:
    """Counts of the whole catalogue after the step: offered = catalogued + quarantined.

    Of this call: `offered_now` were read, among them `changed`, which were other bytes before, and `back`, which had
    been gone; `gone` are not offered any more.
    """

    offered: int
    catalogued: int
    quarantined: int
    distinct: int
    reasons: dict[str, int]
    offered_now: int
    parts_now: int
    seconds: float
    changed: int = 0
    gone: int = 0
    back: int = 0
    subsets: tuple[SubsetCounts, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def ingest(sources: Sequence[str], catalog_folder: Path, settings: IngestConfig, engine: Engine) -> IngestReport:
    """Catalogue what is not catalogued yet.

    Errors: MissingInput (a source is not there), UserError (a source offers nothing, or no image is usable).
    """
    started = time.perf_counter()
    catalog_folder.mkdir(parents=True, exist_ok=True)
    remove_drafts(catalog_folder)
    listings, subsets = list_all(sources, settings)
    changes = _settle(catalog_folder, listings, engine)
    used = set(part_numbers(catalog_folder))
    known = read_catalog(catalog_folder, ["uri"]).column("uri").combine_chunks()
    sizes = PartSizes(settings.part_images, settings.download.part_rows)
    parts = plan_parts(listings, known, used, sizes, downloads_folder(catalog_folder))
    worker = partial(make_worker, str(catalog_folder), settings)
    counts = [found.offered for _, found in engine.map_parts(worker, parts, label="ingest")]
    report = count_catalogue(catalog_folder, sum(counts), len(parts), started)
    report = replace(report, subsets=subsets, **asdict(changes))
    if report.catalogued == 0:
        reasons = ", ".join(f"{count} {code}" for code, count in Counter(report.reasons).most_common(3))
        raise UserError(
            f"none of the {report.offered} files offered is a usable image ({reasons}): name another source"
        )
    return report


def _settle(folder: Path, listings: Sequence[Listing], engine: Engine) -> Changes:
    """What became of the images that are catalogued. Which sources were cut down to a subset is noted for next time."""
    note = folder / SUBSETS
    before = set(read_json(note)) if note.is_file() else set()
    now = {one.source for one in listings if one.restricted}
    whole_again = {one.source for one in listings} & before - now
    changes = settle_changes(folder, Offering(listings, downloads_folder(folder)), whole_again, engine)
    if before | now != before or whole_again:
        publish_json(note, sorted((before | now) - whole_again))
    return changes


def list_all(sources: Sequence[str], settings: IngestConfig) -> tuple[list[Listing], tuple[SubsetCounts, ...]]:
    """What the sources offer, each cut down to its subset where it has one. Errors: MissingInput, UserError."""
    listings, counts = [], []
    for source in dict.fromkeys(sources):
        listing, file = list_source(source), settings.subset_of(source)
        if file is not None:
            subset = UidSubset(file)
            listing = restrict(listing, subset)
            counts.append(subset.counts(source))
        listings.append(listing)
    return listings, tuple(counts)


def downloads_folder(catalog_folder: Path) -> Path:
    """Where images that are given by address are kept: beside the catalogue."""
    return catalog_folder.parent.absolute() / "downloads"


def count_catalogue(folder: Path, offered_now: int, parts_now: int, started: float) -> IngestReport:
    """Counts of the whole catalogue. `started`: of time.perf_counter."""
    table = read_catalog(folder, ["key", "status", "error"])
    ok = table.filter(pc.equal(table.column("status"), "ok"))
    return IngestReport(
        offered=table.num_rows,
        catalogued=ok.num_rows,
        quarantined=table.num_rows - ok.num_rows,
        distinct=pc.count_distinct(ok.column("key")).as_py(),
        reasons=reason_counts(table.column("error")),
        offered_now=offered_now,
        parts_now=parts_now,
        seconds=round(time.perf_counter() - started, 2),
    )
