"""Near-constant pictures: blank pages, placeholders, one colour with a small mark on it."""

from __future__ import annotations

import numpy as np

from curation.filters.picture import Picture

BITS_PER_CHANNEL = 4


def deviation(picture: Picture) -> float:
    """Standard deviation of the brightness. Units: grey levels, 0 to 127.5."""
    return float(np.std(picture.grey, dtype=np.float64))


def dominant_share(picture: Picture) -> float:
    """Share of the pixels that have the most frequent colour, of 16 levels per channel. Range: 0 to 1."""
    levels = picture.rgb.reshape(-1, 3).astype(np.int64) >> (8 - BITS_PER_CHANNEL)
    cells = (levels[:, 0] << 2 * BITS_PER_CHANNEL) | (levels[:, 1] << BITS_PER_CHANNEL) | levels[:, 2]
    return float(np.bincount(cells).max() / len(cells))
