"""The dedup step: pairs, groups, references, decisions; what is on disk already is not computed again.

dedup/pairs.parquet, pairs.json, against-<set>.parquet, groups.parquet, maybe.parquet, report.json
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from contracts.embedding_store import EmbeddingStore
from contracts.publish import publish_json, remove_drafts
from contracts.tables import GROUPS, write_table
from curation.catalog import read_catalog
from curation.dedup.config import DedupConfig
from curation.dedup.decide import decide, groups_table
from curation.dedup.doubtful import write_doubtful
from curation.dedup.group_report import DedupReport, Findings, make_report
from curation.dedup.hash_prepass import NO_COPIES, with_hash_copies
from curation.dedup.near_pairs import JoinAsked, PoolVectors, pool_pairs, reference_pairs
from curation.dedup.pool import load_pool
from curation.dedup.reference_pairs import remove_other_sets
from curation.dedup.thresholds import thresholds_of
from curation.engine import Engine
from curation.index.config import IndexConfig, IvfIndex
from curation.index.footprint import describe_device, describe_memory, footprint, machine_memory
from curation.index.plan import IndexPlan, plan_index


@dataclass(frozen=True)
class DedupInputs:
    """An embedded pool, keys that filters drop, the reference sets by name, and where the results go.

    `copies`: what the pre-pass found (hash_prepass.same_hash); they are not compared.
    """

    folder: Path
    catalog_folder: Path
    store: EmbeddingStore
    references: Mapping[str, EmbeddingStore]
    filtered: pa.Array
    copies: pa.Table = field(default_factory=lambda: NO_COPIES)


def plan_of(index: IndexConfig, rows: int, dim: int) -> IndexPlan:
    """The index plan that the settings and the number of vectors give."""
    if isinstance(index, IvfIndex):
        return plan_index(rows, dim, "ivf", index.lists, index.probes, index.overlap)
    return plan_index(rows, dim, index.kind)


def dedup_pool(inputs: DedupInputs, settings: DedupConfig, engine: Engine, say: Callable[[str], None]) -> DedupReport:
    """Deduplicate an embedded pool and write its dedup folder. `say` gets lines for the person who waits."""
    store, folder = inputs.store, inputs.folder
    remove_drafts(folder)
    limits = thresholds_of(settings, store.model, store.settings, bool(inputs.references))
    pool = load_pool(store, inputs.catalog_folder, inputs.filtered, inputs.copies)
    plan = plan_of(settings.index, len(pool), store.dim)
    say(f"index {plan.describe()}; {describe_device()}")
    say(f"memory: {describe_memory(footprint(plan), machine_memory())}")
    vectors = PoolVectors(folder, pool, store, engine)
    pairs = pool_pairs(vectors, JoinAsked(plan, limits.lowest, settings.neighbors), say)
    remove_other_sets(folder, set(inputs.references))
    near = {
        name: reference_pairs(vectors, name, reference, limits.against, plan)
        for name, reference in inputs.references.items()
    }
    for name, found in near.items():
        say(f"{len(found):,} pairs with the reference set {name} above cosine {limits.against:g}")
    decision = decide(pool, pairs, near, settings, limits.same, limits.against)
    write_table(folder / "groups.parquet", with_hash_copies(groups_table(pool, decision), inputs.copies), GROUPS)
    status = read_catalog(inputs.catalog_folder, columns=["status"]).column("status").cast(pa.string())
    usable = int(pc.sum(pc.equal(status, "ok")).as_py() or 0)
    doubtful = write_doubtful(folder, pool, pairs, decision, limits.maybe)
    findings = Findings(pool, pairs, decision, near, usable, inputs.copies.num_rows, doubtful)
    report = make_report(findings, settings, limits, store.model, plan.describe())
    publish_json(folder / "report.json", report.as_dict())
    return report
