"""Pictures with blurred faces: bytes of their own under a key of their own, each with the key of its original.

<workspace>/faces/<version>/part-00000.parquet   a row per image that was looked at; bytes where faces were blurred
<workspace>/derived.parquet                      the images of the last dataset that are derived ones, and of what
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.keys import key_of_bytes
from contracts.publish import draft, remove_drafts, sha256_file
from contracts.tables import TableSpec
from curation.catalog import part_file, part_numbers
from curation.decode import BadImage, DecodeLimits, decode_rgb
from curation.embed.parts import EmbedPart, plan_parts
from curation.engine import Engine
from curation.filters.config import FacesConfig
from curation.filters.faces.blur import blurred
from curation.filters.faces.detector import FaceDetector, Pixels, require_model
from curation.sources.read_bytes import read_bytes
from curation.sources.uri import member_uri

# To be raised when the same picture and boxes would give other bytes.
VERSION = 1
JPEG_QUALITY = 95
# Formats that lose nothing stay without loss.
LOSSLESS = frozenset({"PNG", "BMP", "TIFF", "GIF", "PPM", "ICO", "TGA", "PCX", "SGI"})
PART_IMAGES, GROUP_ROWS = 1024, 64

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
_PART = pa.schema(
    [
        pa.field("original_key", pa.string()),
        pa.field("faces", pa.int32()),  # null: it could not be read
        pa.field("key", pa.string()),
        pa.field("byte_count", pa.int64()),
        pa.field("format", pa.string()),
        pa.field("image", pa.binary()),
    ]
)
_FACTS = ["original_key", "faces", "key", "byte_count", "format"]


@dataclass(frozen=True)
class BlurWork:
    """What a worker needs: where parts go, and how faces are found."""

    folder: str
    model: str
    confidence: float
    limits: DecodeLimits


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
    first = max(part_numbers(place), default=-1) + 1
    parts = plan_parts(images, known, first, PART_IMAGES)
    formats = dict(zip(images.column("key").to_pylist(), images.column("format").to_pylist(), strict=True))
    tasks = [BlurPart(part, tuple(formats[key] for key in part.keys)) for part in parts]
    work = BlurWork(str(place), model, faces.confidence, limits)
    for _ in engine.map_parts(partial(make_worker, work), tasks, label="faces"):
        pass
    found = _known(place)
    found = found.filter(pc.and_(pc.greater(found.column("faces"), 0), _among(found, images)))
    return found.select(DERIVED.schema.names).cast(DERIVED.schema).sort_by("original_key")


@dataclass(frozen=True)
class BlurPart:
    """Images to look at, with their formats."""

    images: EmbedPart
    formats: tuple[str | None, ...]


def _among(found: pa.Table, images: pa.Table) -> Any:
    return pc.is_in(found.column("original_key"), value_set=images.column("key").combine_chunks())


def _known(place: Path) -> pa.Table:
    """What was looked at, with the uri of each row; a key once."""
    tables = []
    for number in part_numbers(place):
        file = part_file(place, number)
        rows = pq.read_table(file, columns=_FACTS)
        uris = pa.array([member_uri(file.absolute(), row) for row in range(rows.num_rows)], pa.string())
        tables.append(rows.append_column("uri", uris).filter(pc.is_valid(rows.column("faces"))))
    empty = pa.schema([*(_PART.field(name) for name in _FACTS), pa.field("uri", pa.string())]).empty_table()
    return pa.concat_tables([empty, *tables])


def make_worker(work: BlurWork) -> Callable[[BlurPart], int]:
    """Built once per worker: the detector is loaded here."""
    import cv2

    cv2.setNumThreads(1)  # the workers themselves are what runs at once
    detector = FaceDetector(work.model, work.confidence)

    def blur(part: BlurPart) -> int:
        rows = _rows(part, detector, work.limits)
        count = 0
        with (
            draft(part_file(Path(work.folder), part.images.number)) as rough,
            pq.ParquetWriter(rough, _PART, compression="none") as writer,
        ):
            for group in _groups(rows):
                writer.write_table(pa.Table.from_pylist(group, _PART), row_group_size=GROUP_ROWS)
                count += sum(row["faces"] or 0 for row in group)
        return count

    return blur


def _groups(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group = []
    for row in rows:
        group.append(row)
        if len(group) == GROUP_ROWS:
            yield group
            group = []
    if group:
        yield group


def _rows(part: BlurPart, detector: FaceDetector, limits: DecodeLimits) -> Iterator[dict[str, Any]]:
    images = part.images
    for key, data, kind in zip(images.keys, read_bytes(images.uris), part.formats, strict=True):
        row: dict[str, Any] = {"original_key": key, "faces": None}
        try:
            pixels = decode_rgb(data, limits) if key_of_bytes(data) == key else None
        except BadImage:
            pixels = None
        if pixels is not None:
            boxes = detector.find(pixels)
            row["faces"] = len(boxes)
            if len(boxes):
                row |= _described(blurred(pixels, boxes), lossless=(kind or "").upper() in LOSSLESS)
        yield row


def _described(pixels: Pixels, *, lossless: bool) -> dict[str, Any]:
    """Encoded bytes with what a dataset tells of them. EXIF is not taken over: the pixels stand upright."""
    data = encoded(pixels, lossless=lossless)
    kind = "PNG" if lossless else "JPEG"
    return {"key": key_of_bytes(data), "byte_count": len(data), "format": kind, "image": data}


def encoded(pixels: Pixels, *, lossless: bool) -> bytes:
    """PNG, or JPEG of quality 95 with full colour. Shapes: uint8 [H, W, 3] RGB."""
    import cv2

    full_colour = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    options = [] if lossless else [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, *full_colour]
    done, data = cv2.imencode(".png" if lossless else ".jpg", pixels[:, :, ::-1], options)
    if not done:
        raise ValueError(f"OpenCV could not encode a picture of {pixels.shape}")
    return bytes(data)
