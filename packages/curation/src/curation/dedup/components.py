"""Connected components over arrays: a disjoint set whose rounds are whole-array operations.

Dimensions: N nodes, E edges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class DisjointSet:
    """Nodes 0..N-1; edges come in blocks, so that they can be streamed from disk. 8 bytes per node."""

    def __init__(self, nodes: int) -> None:
        self._parent: Ints = np.arange(nodes, dtype=np.int64)

    def join(self, a: Ints, b: Ints) -> None:
        """Join the ends of every edge. Shapes: [E], [E].

        In each round every root hooks to the smallest root next to it, and edges inside one tree are forgotten; the
        number of roots that still have an edge falls at least geometrically in practice.
        """
        while len(a):
            a, b = self._roots(a), self._roots(b)
            apart = a != b
            a, b = a[apart], b[apart]
            low, high = np.minimum(a, b), np.maximum(a, b)
            np.minimum.at(self._parent, high, low)
            a, b = low, high

    def labels(self) -> Ints:
        """The smallest node of every node's component. Shapes: [N]."""
        while True:
            above = self._parent[self._parent]
            if np.array_equal(above, self._parent):
                return self._parent.copy()
            self._parent = above

    def _roots(self, nodes: Ints) -> Ints:
        """Root of each node; the nodes asked are hung directly under it."""
        root = self._parent[nodes]
        while True:
            above = self._parent[root]
            if np.array_equal(above, root):
                self._parent[nodes] = root
                return root
            root = above


def connected_components(nodes: int, a: Ints, b: Ints) -> Ints:
    """Label of every node: the smallest node of its component. Shapes: edges [E], [E] -> [N]."""
    disjoint = DisjointSet(nodes)
    disjoint.join(a, b)
    return disjoint.labels()
