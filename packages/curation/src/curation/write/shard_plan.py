"""Which sample goes to which shard: a seeded shuffle, cut evenly.

Dimensions: N samples, S shards.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def shard_count(samples: int, image_bytes: int, max_samples: int, max_bytes: int) -> int:
    """Shards needed so that none has more samples than asked, nor, on average, more image bytes. 0 for no samples."""
    return min(samples, max(-(-samples // max_samples), -(-image_bytes // max_bytes)))


def plan_shards(samples: pa.Table, shards: int, shuffle_seed: int) -> list[pa.Table]:
    """Shuffle rows that are sorted by key, and cut them into shards whose sizes differ by one at most."""
    order = np.random.default_rng(shuffle_seed).permutation(samples.num_rows)
    return [samples.take(pa.array(rows)) for rows in np.array_split(order, shards)] if shards else []
