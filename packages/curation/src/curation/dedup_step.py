"""`curate dedup`: embed what is missing, prepare the reference sets, decide, renew the selection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from contracts.embedding_store import EmbeddingStore
from curation.config import CurateConfig
from curation.dedup.dedup_pool import DedupInputs, dedup_pool
from curation.dedup.group_report import DedupReport
from curation.embed.embed_catalog import embed
from curation.embed.table import model_name
from curation.engine import Engine
from curation.retrieve.image_set import SetSettings, prepare_image_set
from curation.retrieve.seed_lookup import LookupPlaces, find_set
from curation.select.selection import recompute_selection
from curation.workspace import Workspace

Say = Callable[[str], None]


def run_dedup(workspace: Workspace, config: CurateConfig, engine: Engine, say: Say) -> DedupReport:
    """Deduplicate a workspace. Errors: MissingInput (catalogue, model, reference), UserError (threshold)."""
    workspace.require_catalog()
    model = config.dedup.model
    folder = workspace.embeddings(model_name(model))
    embedded = embed(workspace.catalog, folder, model, engine, config.embed)
    if embedded.embedded_now:
        say(f"{embedded.embedded_now:,} images embedded with {model}")
    if embedded.failed:
        say(f"{embedded.failed:,} images could not be read again and have no vector: {embedded.failures[0][1]}")
    inputs = DedupInputs(
        folder=workspace.dedup,
        catalog_folder=workspace.catalog,
        store=EmbeddingStore.open(folder),
        references=_references(workspace, config, engine, say),
    )
    report = dedup_pool(inputs, config.dedup, say)
    recompute_selection(workspace)
    return report


def _references(workspace: Workspace, config: CurateConfig, engine: Engine, say: Say) -> dict[str, EmbeddingStore]:
    """The reference sets asked for, catalogued and embedded with the model of the pool."""
    places = LookupPlaces(
        workspace=workspace.root,
        working_folder=Path.cwd(),
        configured={**config.seeds, **config.references},
        sources=config.sources,
        hub=config.retrieve.hub,
    )
    stores = {}
    for text in config.dedup.against:
        found = find_set(text, places)
        settings = SetSettings(config.dedup.model, config.ingest, config.embed)
        prepared = prepare_image_set(workspace.image_set(found.name).root, found, settings, engine)
        say(f"reference set {found.name}: {prepared.store.rows:,} images from {found.source}")
        stores[found.name] = prepared.store
    return stores
