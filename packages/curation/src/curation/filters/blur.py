"""Blur: how much fine structure the reduced grey picture has.

Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy (ICPR 2000), variance of the Laplacian.
"""

from __future__ import annotations

import numpy as np

from curation.filters.picture import Picture


def blur(picture: Picture) -> float:
    """Variance of the 4-neighbour Laplacian of the grey picture; small where nothing is sharp.

    A picture with little contrast has a small value too, however sharp it is.
    """
    import cv2

    return float(np.var(cv2.Laplacian(picture.grey, cv2.CV_32F, ksize=1), dtype=np.float64))
