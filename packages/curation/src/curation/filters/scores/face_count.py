"""How many faces an image shows, for dropping images with too many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from contracts.publish import sha256_file
from curation.embed.decode_ahead import Preparing, Unusable, prepared_images
from curation.embed.parts import plan_parts
from curation.filters.config import Bounds, FacesConfig
from curation.filters.faces.detector import DETECT_PX, FaceDetector, Pixels, require_model
from curation.filters.scores.score import Score, write_scores
from curation.sources.image_part import ImagePart

NAME = "faces"


def face_score(faces: FacesConfig, part_images: int) -> Score:
    """Check the detector and plan its work. Errors: MissingInput, BrokenArtifact."""
    model = require_model(faces.model)
    FaceDetector(model, faces.confidence)
    return Score(
        name=NAME,
        bounds=Bounds(max=faces.allowed),
        version=f"yunet {sha256_file(Path(model))}, {DETECT_PX} px, confidence {faces.confidence}",
        about={"model": Path(model).name, "confidence": faces.confidence},
        cut=partial(_cut, part_images=part_images),
        make_worker=partial(make_worker, model, faces.confidence),
    )


def _cut(images: pa.Table, part_images: int) -> Sequence[ImagePart]:
    return plan_parts(images, pa.array([], pa.string()), 0, part_images)


def make_worker(model: str, confidence: float, folder: str) -> Callable[[ImagePart], int]:
    """Built once per worker: the detector is loaded here."""
    import cv2

    cv2.setNumThreads(1)  # the workers themselves are what runs at once
    detector = FaceDetector(model, confidence)
    preparing = Preparing(_unchanged, DETECT_PX)

    def work(part: ImagePart) -> int:
        images = prepared_images(part.keys, part.uris, preparing)
        counts = [None if isinstance(ready, Unusable) else float(len(detector.find(ready))) for _, ready in images]
        return write_scores(folder, part, counts)

    return work


def _unchanged(pixels: Pixels) -> Pixels:
    return np.asarray(pixels)
