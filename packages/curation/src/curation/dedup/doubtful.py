"""Pairs of kept images that may be the same: above a lower threshold than that of copies, for people to look at.

dedup/maybe.parquet   key_a, key_b, cosine; there only when `dedup.maybe_threshold` is set
"""

from __future__ import annotations

from pathlib import Path

from contracts.tables import PAIRS, write_table
from curation.dedup.decide import Decision, Pool
from curation.dedup.pair_file import pairs_table
from curation.index.join import Pairs

MAYBE_FILE = "maybe.parquet"


def write_doubtful(folder: Path, pool: Pool, pairs: Pairs, decision: Decision, threshold: float | None) -> Pairs | None:
    """Write and return the pairs above `threshold` whose both images are kept; None, and no file, without one.

    Also a pair above the threshold of copies is here when its group was split (`max_component`, `greedy`).
    """
    if threshold is None:
        (folder / MAYBE_FILE).unlink(missing_ok=True)
        return None
    near = pairs.above(threshold)
    both = decision.kept[near.a] & decision.kept[near.b]
    doubtful = Pairs(near.a[both], near.b[both], near.cosine[both])
    write_table(folder / MAYBE_FILE, pairs_table(pool.keys, doubtful), PAIRS)
    return doubtful
