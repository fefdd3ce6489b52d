"""Relative dedup: which pool images leave because they, or their component, are near a reference image.

Source: DINOv2 (arXiv 2304.07193), section 3 and appendix A.3: every component that holds a reference image is
discarded entirely. Differs: components are taken over the whole pool and not over what self-dedup kept, so that a
reference near a dropped copy also removes the copy that was kept; rule `direct` drops direct neighbours only.

Dimensions: N pool images, Q cross pairs.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from curation.dedup.components import connected_components
from curation.index.join import Pairs


def near_reference(
    pool_pairs: Pairs,
    reference_pairs: Pairs,
    rows: int,
    min_cosine: float,
    rule: Literal["component", "direct"] = "component",
) -> NDArray[np.bool_]:
    """Which pool images leave. `reference_pairs.b` are pool rows. Shapes: bool [N]."""
    hit = np.zeros(rows, np.bool_)
    hit[reference_pairs.above(min_cosine).b] = True
    if rule == "direct" or not hit.any():
        return hit
    near = pool_pairs.above(min_cosine)
    labels = connected_components(rows, near.a, near.b)
    touched = np.zeros(rows, np.bool_)
    touched[labels[hit]] = True
    return touched[labels]
