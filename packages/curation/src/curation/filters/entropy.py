"""Entropy: how many shades of grey are used, and how evenly.

Source: Shannon, A Mathematical Theory of Communication (1948), section 6.
"""

from __future__ import annotations

import numpy as np

from curation.filters.picture import Picture


def entropy(picture: Picture) -> float:
    """Entropy of the histogram of 256 grey levels. Units: bits, 0 to 8."""
    counts = np.bincount(picture.grey.ravel())
    share = counts[counts > 0] / picture.grey.size
    return float(abs(-(share * np.log2(share)).sum()))
