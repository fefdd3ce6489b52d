"""How pairs become groups: connected components, greedy around kept images, or mutual neighbours; and a size limit.

Chaining is the known weakness of connected components: a-b and b-c above the threshold put a and c together however
little they share. The other rules and `max_component` bound it.

Dimensions: N images, P pairs.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from curation.dedup.components import Ints, connected_components
from curation.index.join import Pairs, nearest_neighbors_only

Rule = Literal["connected", "greedy", "mutual-knn"]
DEFAULT_NEIGHBORS = 64
_SPLIT_STEP = 0.01


def group_pairs(
    pairs: Pairs,
    rows: int,
    rule: Rule,
    priority: NDArray[np.int64],
    neighbors: int | None = None,
    max_component: int | None = None,
) -> Ints:
    """A label per image; images of one label are one group. `priority[i]` is image i's place in the order of keeping.

    Shapes: priority [N], a permutation; result [N].
    """
    if rule == "greedy":
        labels = _greedy(pairs, rows, priority)
    else:
        if rule == "mutual-knn":
            pairs = nearest_neighbors_only(pairs, rows, neighbors or DEFAULT_NEIGHBORS, mutual=True)
        labels = connected_components(rows, pairs.a, pairs.b)
    return labels if max_component is None else _split_large(labels, pairs, max_component)


def _greedy(pairs: Pairs, rows: int, priority: NDArray[np.int64]) -> Ints:
    """In order of priority, every image that is still free is kept and takes the free images that it is paired with."""
    owner, other = np.concatenate([pairs.a, pairs.b]), np.concatenate([pairs.b, pairs.a])
    order = np.argsort(owner, kind="stable")
    other, starts = other[order], np.searchsorted(owner[order], np.arange(rows + 1))
    labels = np.full(rows, -1, np.int64)
    centres = np.unique(owner)
    for centre in centres[np.argsort(priority[centres])].tolist():
        if labels[centre] < 0:
            near = other[starts[centre] : starts[centre + 1]]
            labels[near[labels[near] < 0]] = centre
            labels[centre] = centre
    alone = labels < 0
    labels[alone] = np.flatnonzero(alone)
    return labels


def _split_large(labels: Ints, pairs: Pairs, limit: int) -> Ints:
    """Raise the threshold of groups above the limit until every part fits or only equal vectors remain."""
    labels = labels.copy()
    inside = labels[pairs.a] == labels[pairs.b]
    pairs = Pairs(pairs.a[inside], pairs.b[inside], pairs.cosine[inside])
    threshold = float(pairs.cosine.min()) if len(pairs) else 1.0
    while threshold < 1 - _SPLIT_STEP:
        large = np.bincount(labels, minlength=len(labels)) > limit
        if not large.any():
            break
        threshold += _SPLIT_STEP
        members = np.flatnonzero(large[labels])
        close = pairs.above(threshold)
        close_in = large[labels[close.a]]
        place = np.full(len(labels), -1, np.int64)
        place[members] = np.arange(len(members))
        parts = connected_components(len(members), place[close.a[close_in]], place[close.b[close_in]])
        labels[members] = members[parts]
    return labels
