"""One worker of the face step: finds and blurs the faces of a part's images, and publishes what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.keys import key_of_bytes
from contracts.publish import draft
from curation.catalog import part_file
from curation.decode import BadImage, DecodeLimits, decode_rgb
from curation.filters.faces.blur import blurred
from curation.filters.faces.detector import FaceDetector, Pixels
from curation.sources.read_bytes import read_bytes

JPEG_QUALITY = 95
# Formats that lose nothing stay without loss.
LOSSLESS = frozenset({"PNG", "BMP", "TIFF", "GIF", "PPM", "ICO", "TGA", "PCX", "SGI"})
GROUP_ROWS = 64
PART = pa.schema(
    [
        pa.field("original_key", pa.string()),
        pa.field("faces", pa.int32()),  # null: it could not be read
        pa.field("key", pa.string()),
        pa.field("byte_count", pa.int64()),
        pa.field("format", pa.string()),
        pa.field("image", pa.binary()),
    ]
)


@dataclass(frozen=True)
class BlurWork:
    """What a worker needs: the images that wait (an Arrow file of key, uri, format), where parts go, how faces are
    found."""

    waiting: str
    folder: str
    model: str
    confidence: float
    limits: DecodeLimits


@dataclass(frozen=True)
class BlurPart:
    """Rows start to stop of the images that wait, and the number of the part they become."""

    number: int
    start: int
    stop: int


def make_worker(work: BlurWork) -> Callable[[BlurPart], int]:
    """Built once per worker: the detector is loaded here."""
    import cv2

    cv2.setNumThreads(1)  # the workers themselves are what runs at once
    detector = FaceDetector(work.model, work.confidence)
    waiting = pa.ipc.open_file(pa.memory_map(work.waiting)).read_all()

    def blur(part: BlurPart) -> int:
        rows = _rows(waiting.slice(part.start, part.stop - part.start), detector, work.limits)
        count = 0
        with (
            draft(part_file(Path(work.folder), part.number)) as rough,
            pq.ParquetWriter(rough, PART, compression="none") as writer,
        ):
            for group in _groups(rows):
                writer.write_table(pa.Table.from_pylist(group, PART), row_group_size=GROUP_ROWS)
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


def _rows(images: pa.Table, detector: FaceDetector, limits: DecodeLimits) -> Iterator[dict[str, Any]]:
    keys, uris, formats = (images.column(name).to_pylist() for name in ("key", "uri", "format"))
    for key, data, kind in zip(keys, read_bytes(uris), formats, strict=True):
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
