"""Where the faces of a picture are, by OpenCV's YuNet detector.

Source: Wu, Peng and Yu, YuNet: A Tiny Millisecond-level Face Detector (2023), with the files of the OpenCV Zoo.
Dimensions: F faces.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts.errors import BrokenArtifact, MissingInput

# The detector finds faces of about 10 to 300 px at the largest side; smaller pictures cost less at a smaller one.
SIDES_PX = (160, 320, 640)
DETECT_PX = SIDES_PX[-1]
OVERLAP = 0.3
WHERE = (
    "face_detection_yunet_2026may.onnx (MIT licence) from "
    "https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet"
)

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float32]


class FaceDetector:
    """Errors: MissingInput, BrokenArtifact (no detector that this OpenCV can run)."""

    def __init__(self, model: str, confidence: float) -> None:
        import cv2

        require_model(model)
        try:
            with _quiet():
                self._net = cv2.FaceDetectorYN.create(model, "", (DETECT_PX, DETECT_PX), confidence, OVERLAP)
                self._detect(np.zeros((DETECT_PX, DETECT_PX, 3), np.uint8))
                self._sides_px = [side for side in SIDES_PX if side == DETECT_PX or self._takes(side)]
        except (cv2.error, SystemError) as error:
            detail = " ".join(str(error).split())[:200]
            raise BrokenArtifact(
                f"{model} is no YuNet detector that OpenCV {cv2.__version__} can run ({detail}): take {WHERE}"
            ) from None

    def find(self, pixels: Pixels) -> Boxes:
        """Boxes in px of the picture, largest first. Shapes: uint8 [H, W, 3] RGB -> [F, 4] (x, y, width, height)."""
        import cv2

        height, width = pixels.shape[:2]
        scale = min(1.0, DETECT_PX / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        # Padded at the right and below to a square: files whose input is fixed take 640 px alone.
        side = next(side for side in self._sides_px if side >= max(size))
        square = np.zeros((side, side, 3), np.uint8)
        small = pixels if scale == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        square[: size[1], : size[0]] = small[:, :, ::-1]
        found = self._detect(square)
        boxes = np.zeros((0, 4), np.float32) if found is None else np.asarray(found[:, :4] / scale, np.float32)
        return boxes[np.lexsort((*boxes.T[:2], -boxes[:, 2] * boxes[:, 3]))]

    def _detect(self, square: Pixels) -> Boxes | None:
        """Shapes: uint8 [S, S, 3] BGR -> [F, 15], or None without a face."""
        self._net.setInputSize(square.shape[:2])
        found: Boxes | None = self._net.detect(square)[1]
        return found

    def _takes(self, side_px: int) -> bool:
        import cv2

        try:
            self._detect(np.zeros((side_px, side_px, 3), np.uint8))
        except (cv2.error, SystemError):
            return False
        return True


def require_model(model: str | None) -> str:
    """The detector's file. Errors: MissingInput that says where to get one."""
    if model is None:
        raise MissingInput(f"finding faces needs a detector: download {WHERE} and give its path as filters.faces.model")
    if not Path(model).is_file():
        raise MissingInput(f"there is no face detector {model}: give the path of {WHERE} as filters.faces.model")
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV warns on loading that targets are not supported; errors are raised all the same."""
    from cv2.utils import logging

    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)
