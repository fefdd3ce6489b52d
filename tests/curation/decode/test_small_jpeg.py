from __future__ import annotations

import io

import numpy as np
from PIL import Image

from curation.decode.small_jpeg import small_jpeg


def test_the_longer_side_is_bounded_and_small_pictures_stay() -> None:
    red = np.full((200, 300, 3), (200, 10, 10), np.uint8)
    for side, size in ((96, (96, 64)), (500, (300, 200))):
        made = Image.open(io.BytesIO(small_jpeg(red, side, 80)))
        assert made.size == size
        assert np.abs(np.asarray(made, int)[10, 10] - (200, 10, 10)).max() < 6
