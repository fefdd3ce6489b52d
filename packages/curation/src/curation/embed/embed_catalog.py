"""The embedding step: every catalogued image that has no vector yet gets one.

    <store>/embeddings.json        the finished store
    <store>/making.json            which model and version an unfinished run was making

Finished parts are never touched. New images get new parts; parts that a killed run published are recognised by their
keys. A store of another model version is made anew.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.config import config_sha256
from contracts.embedding_store import HEADER, EmbeddingStore, EmbeddingWriter, published_parts
from contracts.errors import BrokenArtifact, MissingInput, UserError
from contracts.publish import publish_json, read_json, remove_drafts
from curation.catalog import unique_images
from curation.embed.config import EmbedConfig
from curation.embed.embedder import Embedder
from curation.embed.importing.stored import NO_ROW, is_imported, keys_without_row, open_imported
from curation.embed.part_worker import make_worker
from curation.embed.parts import plan_parts
from curation.embed.table import load_embedder
from curation.engine import Engine
from curation.sources.image_part import ImagePart

MAKING = "making.json"


@dataclass(frozen=True)
class EmbedReport:
    """What the step did. `failed`: images that were catalogued as good and could not be read now."""

    model: str
    dim: int
    images: int
    embedded_before: int
    embedded_now: int
    parts_now: int
    failed: int
    failures: list[tuple[str, str]]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def embed(
    catalog_folder: Path,
    store_folder: Path,
    model: str,
    engine: Engine,
    settings: EmbedConfig,
    without: pa.Array | None = None,
) -> EmbedReport:
    """Embed what is not embedded yet, but for the keys `without`; imported vectors stay as they are.

    Errors: MissingInput (catalogue, model, vectors that were not imported), UserError (nothing to embed).
    """
    started = time.perf_counter()
    images = unique_images(catalog_folder)
    if images.num_rows == 0:
        raise UserError(f"{catalog_folder} holds no usable image: run `curate ingest` on a source that has some")
    if without is not None and len(without):
        images = images.filter(pc.invert(pc.is_in(images.column("key"), value_set=without)))
    if is_imported(model):
        return _as_imported(store_folder, model, images, started)
    embedder = load_embedder(model, settings)
    version = {"model": model, "version": embedder.version, "dim": embedder.dim}
    done = _open_same_version(store_folder, version)
    parts = _missing_parts(images, store_folder, done, settings.part_rows)
    before = done.rows if done else 0
    if parts or done is None:
        publish_json(store_folder / MAKING, version)
    there = set(published_parts(store_folder))
    waiting = [part for part in parts if part.number not in there]
    failures: list[tuple[str, str]] = []
    worker = partial(make_worker, model, str(store_folder), settings)
    for _, result in engine.map_parts(
        worker,
        waiting,
        cpus=settings.cpus_per_worker,
        gpus=settings.gpus_per_worker,
        label="embed",
    ):
        failures.extend(result.failed)
    store = _finish(store_folder, embedder, model, version) if parts or done is None else done
    (store_folder / MAKING).unlink(missing_ok=True)
    return EmbedReport(
        model=model,
        dim=embedder.dim,
        images=images.num_rows,
        embedded_before=before,
        embedded_now=store.rows - before,
        parts_now=len(parts),
        failed=len(failures),
        failures=sorted(failures)[:20],
        seconds=round(time.perf_counter() - started, 2),
    )


def _as_imported(folder: Path, model: str, images: pa.Table, started: float) -> EmbedReport:
    """Nothing to compute: which images the imported vectors leave out."""
    store = open_imported(folder, model)
    without = keys_without_row(store, images.column("key").combine_chunks())
    return EmbedReport(
        model=model,
        dim=store.dim,
        images=images.num_rows,
        embedded_before=store.rows,
        embedded_now=0,
        parts_now=0,
        failed=len(without),
        failures=[(key, NO_ROW) for key in without[:20].to_pylist()],
        seconds=round(time.perf_counter() - started, 2),
    )


def _open_same_version(folder: Path, version: dict[str, Any]) -> EmbeddingStore | None:
    """The finished store if it was made by the same model version; leftovers of another version are removed."""
    header = folder / HEADER
    try:
        store = EmbeddingStore.open(folder) if header.is_file() else None
    except (BrokenArtifact, MissingInput):
        store = None
        _clear(folder)
    if store is not None and store.config_sha256 == config_sha256(version):
        return store
    making = folder / MAKING
    if store is not None or (making.is_file() and read_json(making) != version):
        _clear(folder)
    return None


def _clear(folder: Path) -> None:
    (folder / HEADER).unlink(missing_ok=True)
    for number in published_parts(folder):
        _remove_part(folder, number)
    (folder / MAKING).unlink(missing_ok=True)


def _remove_part(folder: Path, number: int) -> None:
    """The vectors first: a part counts when its .npy exists."""
    for ending in (".npy", ".parquet"):
        (folder / f"part-{number:05d}{ending}").unlink(missing_ok=True)


def _missing_parts(images: pa.Table, folder: Path, done: EmbeddingStore | None, largest: int) -> list[ImagePart]:
    """What is to be embedded; parts on disk that belong to neither the store nor this plan are removed."""
    remove_drafts(folder)
    keys = done.keys if done else pa.array([], pa.string())
    first = max(done.part_numbers, default=-1) + 1 if done else 0
    parts = plan_parts(images, keys, first, largest)
    finished = set(done.part_numbers) if done else set()
    kept = {part.number for part in parts if _is_published(folder, part)}
    for number in set(published_parts(folder)) - finished - kept:
        _remove_part(folder, number)
    return parts


def _is_published(folder: Path, part: ImagePart) -> bool:
    """Whether a killed run left this very part."""
    stem = folder / f"part-{part.number:05d}"
    if not stem.with_suffix(".npy").is_file():
        return False
    try:
        keys = pq.read_table(stem.with_suffix(".parquet"), columns=["key"]).column("key").to_pylist()
    except (OSError, pa.ArrowInvalid):
        return False
    return tuple(keys) == part.keys


def _finish(folder: Path, embedder: Embedder, model: str, version: dict[str, Any]) -> EmbeddingStore:
    if not published_parts(folder):
        raise UserError(f"none of the images of {folder} could be read: check that their sources are still there")
    settings = {
        "version": embedder.version,
        "odd_dims": embedder.odd_dims,
        "default_threshold": embedder.default_threshold,
        "default_against_threshold": embedder.default_against_threshold,
    }
    writer = EmbeddingWriter(folder, model=model, dim=embedder.dim)
    return writer.finish(config_sha256=config_sha256(version), settings=settings)
