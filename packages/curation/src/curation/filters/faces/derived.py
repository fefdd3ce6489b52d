"""Pictures with blurred faces: bytes of their own under a key of their own, each with the key of its original.

<workspace>/faces/<version>/part-00000.parquet   a row per image that was looked at; bytes where faces were blurred
<workspace>/derived.parquet                      the images of the last dataset that are derived ones, and of what
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.publish import draft, remove_drafts, sha256_file
from contracts.tables import TableSpec
from curation.catalog import part_file, part_numbers
from curation.decode import DecodeLimits
from curation.embed.parts import rows_per_part
from curation.engine import Engine
from curation.filters.config import FacesConfig
from curation.filters.faces.blur_part import PART, BlurPart, BlurWork, make_worker
from curation.filters.faces.detector import FaceDetector, require_model
from curation.index.row_files import row_ranges
from curation.sources.reading_order import in_reading_order
from curation.sources.uri import member_uri

# To be raised when the same picture and boxes would give other bytes.
VERSION = 1
PART_IMAGES = 1024

DERIVED = TableSpec(
    "winnow.derived",
    1,
    pa.schema(
        [
            pa.field("original_key", pa.string(), nullable=False),
            pa.field("key", pa.string(), nullable=False),
            pa.field("faces", pa.int32(), nullable=False),
            pa.field("uri", pa.string(), nullable=False),
            pa.field("byte_count", pa.int64(), nullable=False),
            pa.field("format", pa.string(), nullable=False),
        ]
    ),
    ("original_key",),
    "curate build",
)
FACTS = ["original_key", "faces", "key", "byte_count", "format"]


def derive(images: pa.Table, folder: Path, faces: FacesConfig, limits: DecodeLimits, engine: Engine) -> pa.Table:
    """Blur the faces of images (key, uri, format, sorted by key); what was looked at before is not looked at again.

    Returns the rows (DERIVED) of those that have faces. Errors: MissingInput, BrokenArtifact (detector).
    """
    model = require_model(faces.model)
    FaceDetector(model, faces.confidence)
    version = f"{VERSION} {sha256_file(Path(model))} {faces.confidence}"
    place = folder / hashlib.sha256(version.encode()).hexdigest()[:12]
    place.mkdir(parents=True, exist_ok=True)
    remove_drafts(place)
    known = _known(place).column("original_key").combine_chunks()
    fresh = images.filter(pc.invert(pc.is_in(images.column("key"), value_set=known)))
    waiting = place / "waiting.arrow"
    _write_waiting(in_reading_order(fresh), waiting)
    first = max(part_numbers(place), default=-1) + 1
    ranges = row_ranges(fresh.num_rows, rows_per_part(fresh.num_rows, PART_IMAGES))
    parts = [BlurPart(first + number, start, stop) for number, (start, stop) in enumerate(ranges)]
    work = BlurWork(str(waiting), str(place), model, faces.confidence, limits)
    for _ in engine.map_parts(partial(make_worker, work), parts, label="faces"):
        pass
    waiting.unlink()
    found = _known(place)
    found = found.filter(pc.and_(pc.greater(found.column("faces"), 0), _among(found, images)))
    return found.select(DERIVED.schema.names).cast(DERIVED.schema).sort_by("original_key")


def _write_waiting(images: pa.Table, file: Path) -> None:
    """The images to look at as an Arrow file, of which every worker maps its rows."""
    columns = {name: images.column(name).cast(pa.string()) for name in ("key", "uri", "format")}
    table = pa.table(columns)
    with draft(file) as rough, pa.ipc.new_file(str(rough), table.schema) as writer:
        writer.write_table(table, max_chunksize=PART_IMAGES)


def _among(found: pa.Table, images: pa.Table) -> Any:
    return pc.is_in(found.column("original_key"), value_set=images.column("key").combine_chunks())


def _known(place: Path) -> pa.Table:
    """What was looked at, with the uri of each row; a key once."""
    tables = []
    for number in part_numbers(place):
        file = part_file(place, number)
        rows = pq.read_table(file, columns=FACTS)
        numbers = pa.array(np.arange(rows.num_rows)).cast(pa.string())
        uris = pc.binary_join_element_wise(member_uri(file.absolute(), ""), numbers, "")
        tables.append(rows.append_column("uri", uris).filter(pc.is_valid(rows.column("faces"))))
    empty = pa.schema([*(PART.field(name) for name in FACTS), pa.field("uri", pa.string())]).empty_table()
    return pa.concat_tables([empty, *tables])
