"""The filter step over a catalogue: measure what has no values yet, judge everything anew, publish.

A rerun after a kill finds the parts that were published and ends with the same bytes; new images are measured alone,
and other bounds are judged from the stored values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from contracts.config import plain_values
from contracts.publish import publish_json, remove_drafts
from contracts.tables import write_table
from curation.catalog import part_file, part_numbers, unique_images
from curation.decode import DecodeLimits
from curation.engine import Engine
from curation.filters.config import Bounds, FilterConfig
from curation.filters.filter_files import FILTERS, PART, read_values, with_scores
from curation.filters.judge import judge
from curation.filters.measure_part import make_worker
from curation.filters.scores.score_pool import Scored
from curation.filters.table import MEASURES
from curation.sources.image_part import ImagePart, cut_images

SMALLEST_PART = 128
PARTS_OF_A_SMALL_POOL = 16


@dataclass(frozen=True)
class FilterReport:
    """images = kept + filtered + unmeasured (those that cannot be read any more; later steps name them).

    `by_filter`: images that each filter drops; one that fails two is counted in both. `scored_now`, `unscored`: by
    model filter, the images that it gave a value in this run, and those that it has none for.
    """

    images: int
    measured_now: int
    unmeasured: int
    kept: int
    filtered: int
    by_filter: dict[str, int]
    bounds: dict[str, dict[str, Any]]
    scored_now: dict[str, int]
    unscored: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True)
class FilterInputs:
    """Where the catalogue is and the table goes, and the values that models gave."""

    catalog_folder: Path
    table_file: Path
    scored: Sequence[Scored] = ()


def filter_pool(inputs: FilterInputs, settings: FilterConfig, limits: DecodeLimits, engine: Engine) -> FilterReport:
    """Measure and judge every usable image of a catalogue, and publish the table and the report."""
    images = unique_images(inputs.catalog_folder, ("width_px", "height_px"))
    table_file, scored = inputs.table_file, inputs.scored
    parts_folder = table_file.with_suffix("")
    before = _of_catalogue(read_values(table_file, FILTERS), images)
    new = _measure(images, before, parts_folder, settings.part_images, limits, engine)
    values = pa.concat_tables([before, new]).sort_by("key").combine_chunks()
    for one in scored:
        place = pc.index_in(values.column("key"), value_set=one.values.column("key").combine_chunks())
        values = values.append_column(one.score.name, pc.take(one.values.column("value").combine_chunks(), place))
    bounds = {**bounds_of(settings), **{one.score.name: one.score.bounds for one in scored}}
    verdicts = judge(values, bounds)
    table = values.append_column("kept", pa.array(verdicts.kept)).append_column("reason", verdicts.reasons)
    write_table(table_file, table, with_scores(one.score.name for one in scored))
    kept = int(verdicts.kept.sum())
    about = {one.score.name: dict(one.score.about) for one in scored}
    report = FilterReport(
        images=images.num_rows,
        measured_now=new.num_rows,
        unmeasured=images.num_rows - values.num_rows,
        kept=kept,
        filtered=values.num_rows - kept,
        by_filter={name: count for name, count in verdicts.counts.items() if count},
        bounds={name: {**plain_values(bound), **about.get(name, {})} for name, bound in bounds.items()},
        scored_now={one.score.name: one.scored_now for one in scored},
        unscored={one.score.name: values.column(one.score.name).null_count for one in scored},
    )
    publish_json(table_file.with_suffix(".json"), {"bounds": report.bounds, "by_filter": report.by_filter})
    _remove_parts(parts_folder)
    return report


def bounds_of(settings: FilterConfig) -> Mapping[str, Bounds]:
    """The bounds by filter, those that filter nothing left out."""
    bounds: dict[str, Bounds] = {name: getattr(settings, name) for name in MEASURES}
    return {name: bound for name, bound in bounds.items() if bound.min is not None or bound.max is not None}


def _of_catalogue(values: pa.Table, images: pa.Table) -> pa.Table:
    return values.filter(pc.is_in(values.column("key"), value_set=images.column("key").combine_chunks()))


def _measure(
    images: pa.Table, before: pa.Table, folder: Path, largest: int, limits: DecodeLimits, engine: Engine
) -> pa.Table:
    """Values of the images that have none yet, on the engine, part by part."""
    known = before.column("key").combine_chunks()
    fresh = images.filter(pc.invert(pc.is_in(images.column("key"), value_set=known)))
    parts = plan_parts(fresh, largest)
    folder.mkdir(parents=True, exist_ok=True)
    remove_drafts(folder)
    waiting = [part for part in parts if not _is_published(folder, part)]
    for _ in engine.map_parts(partial(make_worker, str(folder), limits), waiting, label="filter"):
        pass
    tables = [read_values(part_file(folder, part.number), PART) for part in parts]
    return pa.concat_tables([before.slice(0, 0), *tables]).drop_null()


def plan_parts(images: pa.Table, largest: int) -> list[ImagePart]:
    """Cut images into parts; small pools finer, so that every core gets a share."""
    step = min(largest, max(SMALLEST_PART, -(-images.num_rows // PARTS_OF_A_SMALL_POOL)))
    return cut_images(images, 0, step)


def _is_published(folder: Path, part: ImagePart) -> bool:
    """Whether a killed run left this very part."""
    return bool(read_values(part_file(folder, part.number), PART).column("key").to_pylist() == sorted(part.keys))


def _remove_parts(folder: Path) -> None:
    for number in part_numbers(folder):
        part_file(folder, number).unlink()
    folder.rmdir()
