"""A seed or reference set in the workspace: its own catalogue and vectors, made by the steps that make the pool's.

sets/<name>/source.json            where the set came from
sets/<name>/catalog/               as the pool's
sets/<name>/embeddings/<model>/    as the pool's
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from contracts.embedding_store import EmbeddingStore
from contracts.errors import UserError
from contracts.publish import publish_json, read_json, remove_drafts
from curation.catalog import unique_images
from curation.embed.config import EmbedConfig
from curation.embed.embed_catalog import embed
from curation.embed.table import model_name
from curation.engine import Engine
from curation.ingest.config import IngestConfig
from curation.ingest.ingest import ingest
from curation.retrieve.seed_lookup import FoundSet

SOURCE = "source.json"


@dataclass(frozen=True)
class SetSettings:
    """How an image set is catalogued and embedded."""

    model: str
    ingest: IngestConfig
    embed: EmbedConfig


@dataclass(frozen=True)
class ImageSet:
    """An image set that is catalogued and embedded. `keys`: its usable images, sorted."""

    name: str
    source: str
    catalog: Path
    store: EmbeddingStore
    keys: pa.Array


def prepare_image_set(folder: Path, found: FoundSet, settings: SetSettings, engine: Engine) -> ImageSet:
    """Catalogue and embed what is new of a set. `folder` is sets/<name> of the workspace.

    Errors: those of the ingest and embed steps; UserError when two paths would share one name.
    """
    catalog, store = catalogue_image_set(folder, found, settings.ingest, engine), store_of(folder, settings.model)
    embed(catalog, store, settings.model, engine, settings.embed)
    keys = unique_images(catalog, ()).column("key").combine_chunks()
    return ImageSet(found.name, found.source, catalog, EmbeddingStore.open(store), keys)


def catalogue_image_set(folder: Path, found: FoundSet, settings: IngestConfig, engine: Engine) -> Path:
    """Catalogue what is new of a set; the catalogue's folder. Errors: those of the ingest step."""
    _settle_source(folder, found)
    ingest([found.source], folder / "catalog", settings, engine)
    return folder / "catalog"


def store_of(folder: Path, model: str) -> Path:
    """Where the vectors of a set are."""
    return folder / "embeddings" / model_name(model)


def _settle_source(folder: Path, found: FoundSet) -> None:
    """Note where the set comes from; a set that now comes from elsewhere is catalogued anew."""
    remove_drafts(folder)
    note = folder / SOURCE
    known = read_json(note).get("source") if note.is_file() else None
    if known == found.source:
        return
    if known is not None and found.named_by_path:
        raise UserError(
            f"the name {found.name!r} already stands for {known}: give {found.source} a name of its own with "
            f"`--seed NAME={found.source}`"
        )
    note.unlink(missing_ok=True)
    shutil.rmtree(folder / "catalog", ignore_errors=True)
    publish_json(note, {"source": found.source})
