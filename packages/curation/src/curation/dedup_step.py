"""`curate dedup`: embed what is missing, prepare the reference sets, decide, renew the selection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from contracts.embedding_store import EmbeddingStore
from contracts.publish import publish_text
from curation.config import CurateConfig
from curation.dedup.dedup_pool import DedupInputs, dedup_pool, plan_of
from curation.dedup.group_report import DedupReport
from curation.dedup.hash_prepass import NO_COPIES, same_hash
from curation.dedup.near_pairs import JoinAsked, PoolVectors, pool_pairs
from curation.dedup.pool import load_pool
from curation.dedup.sweep import SweepReport, sweep
from curation.dedup.sweep_plot import sweep_svg
from curation.embed.embed_catalog import embed
from curation.embed.table import model_name
from curation.engine import Engine
from curation.filters.filter_files import filtered_keys
from curation.retrieve.image_set import SetSettings, prepare_image_set
from curation.retrieve.seed_lookup import FoundSet, LookupPlaces, find_set
from curation.select.selection import recompute_selection
from curation.workspace import Workspace

Say = Callable[[str], None]


def run_dedup(workspace: Workspace, config: CurateConfig, engine: Engine, say: Say) -> DedupReport:
    """Deduplicate a workspace. Errors: MissingInput (catalogue, model, reference), UserError (threshold)."""
    workspace.require_catalog()
    found = find_references(workspace, config)
    copies = _hash_copies(workspace, config, say)
    store = _embedded(workspace, config, engine, say, copies)
    inputs = DedupInputs(
        folder=workspace.dedup,
        catalog_folder=workspace.catalog,
        store=store,
        references=_references(workspace, config, found, engine, say),
        filtered=filtered_keys(workspace.filters),
        copies=copies,
    )
    report = dedup_pool(inputs, config.dedup, engine, say)
    recompute_selection(workspace)
    return report


def run_sweep(
    workspace: Workspace, config: CurateConfig, thresholds: Sequence[float], engine: Engine, say: Say
) -> SweepReport:
    """What other thresholds would keep; writes dedup/sweep.svg and the pairs down to the lowest, decides nothing."""
    workspace.require_catalog()
    copies = _hash_copies(workspace, config, say)
    store = _embedded(workspace, config, engine, say, copies)
    pool = load_pool(store, workspace.catalog, filtered_keys(workspace.filters), copies)
    plan = plan_of(config.dedup.index, len(pool), store.dim)
    asked = JoinAsked(plan, min(thresholds), config.dedup.neighbors)
    pairs = pool_pairs(PoolVectors(workspace.dedup, pool, store, engine), asked, say)
    report = SweepReport(store.model, len(pool), sweep(pairs, len(pool), thresholds))
    publish_text(workspace.dedup / "sweep.svg", sweep_svg(report))
    return report


def _hash_copies(workspace: Workspace, config: CurateConfig, say: Say) -> pa.Table:
    """What the pre-pass leaves out: columns key, of."""
    if config.dedup.prepass == "none":
        return NO_COPIES
    copies = same_hash(workspace.catalog, filtered_keys(workspace.filters))
    say(f"{copies.num_rows:,} images have the perceptual hash of another")
    return copies


def _embedded(workspace: Workspace, config: CurateConfig, engine: Engine, say: Say, copies: pa.Table) -> EmbeddingStore:
    """The pool's vectors of the model of dedup; what has none yet is embedded first, without copies."""
    model = config.dedup.model
    folder = workspace.embeddings(model_name(model))
    embedded = embed(workspace.catalog, folder, model, engine, config.embed, copies.column("key").combine_chunks())
    if embedded.embedded_now:
        say(f"{embedded.embedded_now:,} images embedded with {model}")
    if embedded.failed:
        say(f"{embedded.failed:,} images have no vector and are not compared: {embedded.failures[0][1]}")
    return EmbeddingStore.open(folder)


def find_references(workspace: Workspace, config: CurateConfig) -> list[FoundSet]:
    """Where the reference sets are, before any work starts. Errors: MissingInput."""
    places = LookupPlaces(
        workspace=workspace.root,
        working_folder=Path.cwd(),
        configured={**config.seeds, **config.references},
        sources=config.sources,
        hub=config.retrieve.hub,
    )
    return [find_set(text, places) for text in config.dedup.against]


def _references(
    workspace: Workspace, config: CurateConfig, found: Sequence[FoundSet], engine: Engine, say: Say
) -> dict[str, EmbeddingStore]:
    """The reference sets, catalogued and embedded with the model of the pool."""
    settings = SetSettings(config.dedup.model, config.ingest, config.embed)
    stores = {}
    for one in found:
        prepared = prepare_image_set(workspace.image_set(one.name).root, one, settings, engine)
        say(f"reference set {one.name}: {prepared.store.rows:,} images from {one.source}")
        stores[one.name] = prepared.store
    return stores
