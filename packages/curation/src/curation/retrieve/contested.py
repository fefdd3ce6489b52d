"""Who gets an image that several queries want: the query to which it is nearest, as one stable assignment.

Every query asks for its nearest images in order; an image takes the query with the highest cosine and turns the others
down, who ask for their next. Both sides rank by the same cosine (ties go to the lower query and the lower row), so the
outcome is unique: it does not depend on who asks first. (Deferred acceptance, Gale and Shapley 1962.)

Dimensions: Q queries, P pool images, N images wanted per query, K neighbours known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


class Acceptance:
    """The state of the assignment: it may be continued with longer neighbour lists of some queries."""

    def __init__(self, queries: int, pool_images: int, per_query: int) -> None:
        self.per_query = per_query
        self.cosines = np.empty((queries, 0), np.float32)
        self.rows = np.empty((queries, 0), np.int64)
        self.known = np.zeros(queries, np.int64)  # how many neighbours of the query are known
        self.asked = np.zeros(queries, np.int64)  # how many of them it has asked for
        self.held = np.zeros(queries, np.int64)  # how many of those it has
        self.holder = np.full(pool_images, -1, np.int64)
        self.holder_cosine = np.full(pool_images, -np.inf, np.float32)
        self.holder_rank = np.zeros(pool_images, np.int64)

    def short(self) -> Ints:
        """Queries that have fewer images than wanted."""
        return np.flatnonzero(self.held < self.per_query)

    def short_below(self, depth: int) -> Ints:
        """Short queries of which fewer than `depth` neighbours are known."""
        return np.flatnonzero((self.held < self.per_query) & (self.known < depth))

    def settle(self, cosines: Floats, rows: Ints, queries: Ints) -> None:
        """Take neighbour lists of some queries, best first, and let all queries ask until nobody can.

        Shapes: cosines, rows [len(queries), K]; a list begins with what was known of the query before.
        """
        self._learn(cosines, rows, queries)
        while len(active := np.flatnonzero((self.held < self.per_query) & (self.asked < self.known))):
            count = np.minimum(self.per_query - self.held[active], self.known[active] - self.asked[active])
            query = np.repeat(active, count)
            within = np.arange(len(query)) - np.repeat(np.cumsum(count) - count, count)
            rank = self.asked[query] + within
            self.asked[active] += count
            row, cosine = self.rows[query, rank], self.cosines[query, rank]
            there = row >= 0
            self._propose(query[there], row[there], cosine[there], rank[there])

    def _learn(self, cosines: Floats, rows: Ints, queries: Ints) -> None:
        depth = rows.shape[1]
        more = depth - self.rows.shape[1]
        if more > 0:
            self.rows = np.pad(self.rows, ((0, 0), (0, more)), constant_values=-1)
            self.cosines = np.pad(self.cosines, ((0, 0), (0, more)), constant_values=-np.inf)
        self.rows[queries, :depth], self.cosines[queries, :depth] = rows, cosines
        self.known[queries] = depth

    def _propose(self, query: Ints, row: Ints, cosine: Floats, rank: Ints) -> None:
        """One round: each image keeps the best of its present holder and those who ask now."""
        order = np.lexsort((query, -cosine, row))
        first = order[np.flatnonzero(np.diff(row[order], prepend=-1))]
        query, row, cosine, rank = query[first], row[first], cosine[first], rank[first]
        holder = self.holder[row]
        better = (cosine > self.holder_cosine[row]) | ((cosine == self.holder_cosine[row]) & (query < holder))
        loser = holder[better]
        np.subtract.at(self.held, loser[loser >= 0], 1)
        np.add.at(self.held, query[better], 1)
        won = row[better]
        self.holder[won], self.holder_cosine[won] = query[better], cosine[better]
        self.holder_rank[won] = rank[better]

    def result(self) -> tuple[Ints, Ints, Floats, Ints]:
        """(query, row, cosine, rank) of every image that somebody has, by query and rank."""
        row = np.flatnonzero(self.holder >= 0)
        query, rank = self.holder[row], self.holder_rank[row]
        order = np.lexsort((rank, query))
        return query[order], row[order], self.holder_cosine[row][order], rank[order]
