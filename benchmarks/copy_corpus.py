"""A corpus with truth for copy detection, made from bare photographs.

Each chosen photograph stands beside edited copies of it; the other photographs, pages of text and plain shapes are
distractors, each a group of its own.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "descriptor_training"))
from edits import EDITS
from pictures import page, shapes

from curation.decode import decode_rgb

IMAGE_ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}
Pixels = np.ndarray
Copy = tuple[str, Callable[[np.random.Generator, Pixels], bytes]]


def make_corpus(photos: Path, corpus: Path, originals: int, copies: int, seed: int) -> None:
    """Write images/ and truth.csv (path, group, role, edit)."""
    rng = np.random.default_rng(seed)
    files = sorted(path for path in photos.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS)
    files = [files[i] for i in rng.permutation(len(files))]
    edits = _copies()
    rows: list[tuple[str, str, str, str]] = []
    (corpus / "images").mkdir(parents=True)

    def put(name: str, data: bytes, group: str, role: str, edit: str) -> None:
        (corpus / "images" / name).write_bytes(data)
        rows.append((f"images/{name}", group, role, edit))

    for number, file in enumerate(files):
        data = file.read_bytes()
        original = number < originals
        put(f"{number:06d}{file.suffix.lower()}", data, f"g{number}", "original" if original else "distractor", "")
        for k in rng.choice(len(edits), min(copies, len(edits)), replace=False).tolist() if original else []:
            name, edit = edits[k]
            put(f"{number:06d}-{k}.{_ending(name)}", edit(rng, decode_rgb(data)), f"g{number}", "copy", name)
    for number in range(len(files) // 4):
        kind, make = (("d_doc", page), ("d_flat", shapes))[number % 2]
        put(f"{kind}-{number:06d}.jpg", _saved(make(rng), "JPEG"), f"{kind}{number}", "distractor", kind)
    with (corpus / "truth.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([("path", "group", "role", "edit"), *rows])


def _copies() -> list[Copy]:
    """Every edit of the training set, once, as a JPEG; mirroring; and the same picture in other files."""
    drawn: list[Copy] = [
        (edit.__name__, lambda rng, image, edit=edit: _saved(edit(rng, image), "JPEG")) for edit in dict.fromkeys(EDITS)
    ]
    mirrored: Copy = ("mirrored", lambda _rng, image: _saved(image[:, ::-1], "JPEG"))
    files: list[Copy] = [
        (f"as_{kind.lower()}", lambda _rng, image, kind=kind: _saved(image, kind)) for kind in ("PNG", "WEBP", "BMP")
    ]
    return [*drawn, mirrored, *files, ("as_exif", _turned)]


def _turned(_rng: np.random.Generator, image: Pixels) -> bytes:
    """Pixels upside down, and the orientation that says so."""
    exif = Image.Exif()
    exif[0x0112] = 3
    return _saved(image[::-1, ::-1], "JPEG", exif=exif.tobytes())


def _saved(image: Pixels, kind: str, **more: bytes) -> bytes:
    data = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image))
    if kind == "JPEG":
        picture.save(data, kind, quality=92, **more)
    else:
        picture.save(data, kind)
    return data.getvalue()


def _ending(edit: str) -> str:
    return {"as_png": "png", "as_webp": "webp", "as_bmp": "bmp"}.get(edit, "jpg")


cv2.setNumThreads(1)
