"""Pairs between the pool and a reference set, on disk beside the pool's own pairs.

dedup/against-<set>.parquet   key (pool), reference_key, cosine
"""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa

from contracts.tables import TableSpec, write_table
from curation.index.join import Pairs

REFERENCE_PAIRS = TableSpec(
    "winnow.reference_pairs",
    1,
    pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            pa.field("reference_key", pa.string(), nullable=False),
            pa.field("cosine", pa.float32(), nullable=False),
        ]
    ),
    ("key", "reference_key"),
    "curate dedup --against",
)


def reference_file(folder: Path, name: str) -> Path:
    """Where the pairs with a set stand; the set's name may hold characters that files cannot."""
    return folder / f"against-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}.parquet"


def write_reference_pairs(folder: Path, name: str, pool_keys: pa.Array, reference_keys: pa.Array, pairs: Pairs) -> None:
    """Publish pairs whose `a` are reference rows and whose `b` are pool rows."""
    table = pa.table(
        {
            "key": pool_keys.take(pa.array(pairs.b)),
            "reference_key": reference_keys.take(pa.array(pairs.a)),
            "cosine": pa.array(pairs.cosine),
        }
    )
    write_table(reference_file(folder, name), table, REFERENCE_PAIRS)


def remove_other_sets(folder: Path, names: set[str]) -> None:
    """Forget sets that are no longer asked for, so that nobody reads them as current."""
    current = {reference_file(folder, name) for name in names}
    for file in folder.glob("against-*.parquet"):
        if file not in current:
            file.unlink(missing_ok=True)
