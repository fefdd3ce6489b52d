"""What a report shows, picked from the tables of a workspace: counts, groups, pairs, examples. No pixels here.

Dimensions: N images, P pairs, G groups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.report.filter_edges import FilterEdge


@dataclass(frozen=True)
class Quarantined:
    """Files of one reason code: how many, and some of them (uri, detail)."""

    code: str
    count: int
    examples: list[tuple[str, str]]


@dataclass(frozen=True)
class Group:
    """A group of duplicates, the kept image first, at most so many keys as are shown. `inner`: its lowest cosine."""

    group_id: str
    size: int
    keys: list[str]
    kept: str | None
    inner: float | None = None


@dataclass(frozen=True)
class Pair:
    """Two images and their cosine."""

    key_a: str
    key_b: str
    cosine: float


@dataclass(frozen=True)
class Query:
    """A seed image, or a cluster (`query_key` None), and what it brought, nearest first."""

    title: str
    query_key: str | None
    brought: list[tuple[str, float]]


@dataclass(frozen=True)
class SeedFindings:
    """What one seed set brought: a sentence, and some of its queries."""

    name: str
    summary: str
    queries: list[Query]


@dataclass(frozen=True)
class Findings:
    """Everything that the page shows."""

    title: str
    flow: list[tuple[str, int]]
    composition_head: Sequence[str]
    composition_rows: Sequence[Sequence[str]]
    quarantined: list[Quarantined]
    group_sizes: list[tuple[int, int]]
    groups: list[Group]
    loosest: list[Group]
    shorter_sides: list[tuple[str, int]]
    aspects: list[tuple[str, int]]
    sweep_svg: str
    settings: str
    versions: list[tuple[str, str]]
    threshold: float
    pairs_above: list[Pair]
    pairs_below: list[Pair]
    seeds: list[SeedFindings]
    parts: list[tuple[str, int]] = field(default_factory=list)
    edges: list[FilterEdge] = field(default_factory=list)
    clusters: str = ""
    clusters_told: str = ""

    def keys(self) -> list[str]:
        """Keys of all images that are shown, each once."""
        keys = [key for group in (*self.groups, *self.loosest) for key in group.keys]
        keys += [key for pair in (*self.pairs_above, *self.pairs_below) for key in (pair.key_a, pair.key_b)]
        keys += [key for edge in self.edges for key, _ in (*edge.out, *edge.inside)]
        for seed in self.seeds:
            for query in seed.queries:
                keys += [*([query.query_key] if query.query_key else []), *(key for key, _ in query.brought)]
        return list(dict.fromkeys(keys))


def quarantined(catalog: pa.Table, examples: int = 4) -> list[Quarantined]:
    """By reason code, the most frequent first. `catalog`: columns uri, status, error."""
    bad = catalog.filter(pc.not_equal(pc.cast(catalog.column("status"), pa.string()), "ok"))
    by_code: dict[str, list[tuple[str, str]]] = {}
    for uri, error in zip(bad.column("uri").to_pylist(), bad.column("error").to_pylist(), strict=True):
        code, _, detail = (error or "unknown").partition(":")
        by_code.setdefault(code, []).append((uri, detail.strip()))
    found = [Quarantined(code, len(rows), sorted(rows)[:examples]) for code, rows in by_code.items()]
    return sorted(found, key=lambda row: (-row.count, row.code))


def group_sizes(groups: pa.Table) -> list[tuple[int, int]]:
    """(group size, number of groups of it), ascending."""
    firsts = Counter(
        dict(zip(groups.column("group_id").to_pylist(), groups.column("group_size").to_pylist(), strict=True))
    )
    return sorted(Counter(size for size in firsts.values() if size > 1).items())


def largest_groups(groups: pa.Table, count: int, members: int) -> list[Group]:
    """The largest groups, ties by id."""
    ids, sizes = groups.column("group_id").to_pylist(), groups.column("group_size").to_pylist()
    chosen = sorted({(-size, group_id) for size, group_id in zip(sizes, ids, strict=True) if size > 1})[:count]
    return [_group(groups, group_id, members) for _, group_id in chosen]


def loosest_groups(groups: pa.Table, inner: Sequence[tuple[str, float]], members: int) -> list[Group]:
    """Groups with the lowest cosine inside, as dedup found them. `inner`: (group id, lowest cosine)."""
    return [group for name, cosine in inner if (group := _group(groups, name, members, cosine)).keys]


def _group(groups: pa.Table, group_id: str, members: int, inner: float | None = None) -> Group:
    rows = groups.filter(pc.equal(groups.column("group_id"), group_id)).to_pylist()
    rows.sort(key=lambda row: (not row["kept"], row["key"]))
    kept = next((row["key"] for row in rows if row["kept"]), None)
    return Group(group_id, len(rows), [row["key"] for row in rows[:members]], kept, inner)


SIDE_EDGES_PX = (32, 64, 128, 256, 512, 1024)
ASPECT_EDGES = (0.5, 0.75, 4 / 3, 2.0)
ASPECT_NAMES = ("taller than 1:2", "1:2 to 3:4", "3:4 to 4:3", "4:3 to 2:1", "wider than 2:1")


def shapes(catalog: pa.Table) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Numbers of whole images by shorter side and by aspect ratio. `catalog`: columns status, width_px, height_px."""
    good = catalog.filter(pc.equal(pc.cast(catalog.column("status"), pa.string()), "ok"))
    width = good.column("width_px").to_numpy(zero_copy_only=False).astype(float)
    height = good.column("height_px").to_numpy(zero_copy_only=False).astype(float)
    names = [f"under {SIDE_EDGES_PX[0]} px"]
    names += [f"{low} to {high - 1} px" for low, high in pairwise(SIDE_EDGES_PX)]
    names += [f"{SIDE_EDGES_PX[-1]} px and more"]
    sides = np.bincount(np.digitize(np.minimum(width, height), SIDE_EDGES_PX), minlength=len(names))
    ratios = np.bincount(np.digitize(width / np.maximum(height, 1), ASPECT_EDGES), minlength=len(ASPECT_NAMES))
    return list(zip(names, sides.tolist(), strict=True)), list(zip(ASPECT_NAMES, ratios.tolist(), strict=True))


def pairs_around(pairs: pa.Table, threshold: float, count: int) -> tuple[list[Pair], list[Pair]]:
    """(just below, just above) the threshold: where a decision could as well have gone the other way."""
    cosine = pairs.column("cosine").to_numpy()
    below, above = np.flatnonzero(cosine <= threshold), np.flatnonzero(cosine > threshold)
    nearest_below = below[np.lexsort((below, -cosine[below]))][:count]
    nearest_above = above[np.lexsort((above, cosine[above]))][:count]
    return _pairs(pairs, nearest_below), _pairs(pairs, nearest_above)


def _pairs(pairs: pa.Table, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[Pair]:
    return [Pair(r["key_a"], r["key_b"], float(r["cosine"])) for r in pairs.take(pa.array(rows)).to_pylist()]


def retrieval_examples(rows: pa.Table, queries: int, images: int) -> list[Query]:
    """Some queries, or clusters, of a retrieval, spread evenly from the nearest to the farthest first image."""
    found = rows.filter(pc.not_equal(pc.cast(rows.column("mode"), pa.string()), "as_is"))
    found = found.select(["key", "query_key", "cluster_id", "cosine"])
    best = found.group_by(["query_key", "cluster_id"]).aggregate([("cosine", "max")])
    order = [("cosine_max", "descending"), ("query_key", "ascending"), ("cluster_id", "ascending")]
    best = best.sort_by(order)
    chosen: list[int] = (
        np.unique(np.linspace(0, best.num_rows - 1, queries).round().astype(int)).tolist() if best.num_rows else []
    )
    best = best.take(pa.array(chosen, pa.int64()))
    examples = []
    for row in best.to_pylist():
        query, cluster = row["query_key"], row["cluster_id"]
        mine = pc.equal(found.column("query_key"), query) if query else pc.equal(found.column("cluster_id"), cluster)
        brought = found.filter(mine).sort_by([("cosine", "descending"), ("key", "ascending")]).slice(0, images)
        pairs = list(
            zip(brought.column("key").to_pylist(), map(float, brought.column("cosine").to_pylist()), strict=True)
        )
        examples.append(Query(f"seed image {query}" if query else f"cluster {cluster}", query, pairs))
    return examples
