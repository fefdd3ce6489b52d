"""The colours of a picture as a unit vector whose cosine falls with the distance of their distributions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Random Fourier features (Rahimi and Recht 2007) of a Gaussian kernel over quantiles of the channels.
WAVES = 32
WIDTH_LEVELS = 16.0
QUANTILES = (0.02, 0.25, 0.5, 0.75, 0.98)

Floats = NDArray[np.float32]


def _waves() -> Floats:
    """Frequencies for the root mean square difference of the quantiles in grey levels. Shapes: [WAVES, 15]."""
    values = 3 * len(QUANTILES)
    normal = np.random.Generator(np.random.PCG64(20)).standard_normal((WAVES, values))
    return np.asarray(normal / (WIDTH_LEVELS * np.sqrt(values)), np.float32)


_WAVES = _waves()


def colour_features(small: NDArray[np.uint8]) -> Floats:
    """Shapes: uint8 [h, w, 3] -> [2 * WAVES], length 1."""
    ordered = np.sort(small.reshape(-1, 3), axis=0)
    at = [round(q * (len(ordered) - 1)) for q in QUANTILES]
    phase = _WAVES @ ordered[at].astype(np.float32).ravel()
    return np.asarray(np.concatenate([np.cos(phase), np.sin(phase)]) / WAVES**0.5, np.float32)
