"""Groups of duplicates in the orders in which a person looks through them.

Dimensions: N images, G groups, M members.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.errors import UserError
from curation.explore.vector_index import VectorIndex
from curation.index.mirror_cosine import cosine_block, pair_cosines

Rows = NDArray[np.int64]
ORDERS = ("size", "loosest")
INNER_ROWS = 512
BLOCK_PAIRS = 1 << 16


@dataclass(frozen=True)
class Groups:
    """Shapes: names [G] (row of the naming image, ascending), starts [G + 1] into members [M], sizes [G].

    `loosest[g]`: lowest cosine of a member to the naming image, NaN without vectors.
    """

    names: Rows
    starts: Rows
    members: Rows
    loosest: NDArray[np.float32]

    @property
    def sizes(self) -> Rows:
        """Images per group."""
        return np.diff(self.starts)

    def members_of(self, place: int) -> Rows:
        """Rows of one group."""
        return self.members[self.starts[place] : self.starts[place + 1]]

    def order(self, by: str) -> Rows:
        """Places of the groups: the largest first, or the loosest first. Errors: UserError."""
        if by not in ORDERS:
            raise UserError(f"groups are not sorted by {by!r}: choose size or loosest")
        first = -self.sizes if by == "size" else np.nan_to_num(self.loosest, nan=2.0)
        return np.lexsort((self.names, first))


def read_groups(group: Rows, index: VectorIndex | None) -> Groups:
    """All groups. `group[i]`: row of the image that names i's group, -1 without one. Shapes: [N]."""
    members = np.flatnonzero(group >= 0)
    order = np.argsort(group[members], kind="stable")
    members = members[order]
    names, starts = np.unique(group[members], return_index=True)
    starts = np.append(starts, len(members)).astype(np.int64)
    return Groups(names, starts, members, _loosest(names, starts, members, index))


def _loosest(names: Rows, starts: Rows, members: Rows, index: VectorIndex | None) -> NDArray[np.float32]:
    lowest = np.full(len(names), np.nan, np.float32)
    if index is None:
        return lowest
    place = np.repeat(np.arange(len(names)), np.diff(starts))
    cosines = np.full(len(members), np.nan, np.float32)
    for first in range(0, len(members), BLOCK_PAIRS):
        some = slice(first, first + BLOCK_PAIRS)
        cosines[some] = _cosines(members[some], names[place[some]], index)
    known = ~np.isnan(cosines)
    lowest[place[known]] = np.inf
    np.minimum.at(lowest, place[known], cosines[known])
    return lowest


def _cosines(left: Rows, right: Rows, index: VectorIndex) -> NDArray[np.float32]:
    """Cosines of pairs of rows, NaN where one has no vector."""
    both = np.unique(np.concatenate([left, right]))
    rows, units = index.vectors(both)
    a, b = np.searchsorted(rows, left), np.searchsorted(rows, right)
    out = np.full(len(left), np.nan, np.float32)
    if len(rows):
        a, b = np.minimum(a, len(rows) - 1), np.minimum(b, len(rows) - 1)
        good = (rows[a] == left) & (rows[b] == right)
        out[good] = pair_cosines(units, units, a[good], b[good], index.odd_dims)
    return out


def inner_cosine(rows: Rows, index: VectorIndex | None) -> float | None:
    """Lowest cosine between two images of a group (of its first 512), None without vectors."""
    if index is None:
        return None
    _, units = index.vectors(rows[:INNER_ROWS])
    return float(cosine_block(units, units, index.odd_dims).min()) if len(units) > 1 else None
