"""What the page asks of a workspace, as plain functions; HTTP stands in app.py.

Dimensions: N images of the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from contracts.embedding_store import HEADER, EmbeddingStore
from contracts.errors import MissingInput, UserError, nearest_name
from curation.config import CurateConfig
from curation.decode import BadImage, decode_rgb
from curation.embed.embedder import Embedder
from curation.embed.table import load_embedder, model_name
from curation.embed.text_side import TextSide
from curation.explore.browse import Filter, rows_shown
from curation.explore.duplicate_groups import Groups, read_groups
from curation.explore.keys import row_of
from curation.explore.pictures import Pictures
from curation.explore.pool_view import read_catalogued, read_cluster_codes, read_decided
from curation.explore.projection import project
from curation.explore.vector_index import VectorIndex
from curation.select.overrides import Override, add_overrides, remove_overrides
from curation.select.selection import recompute_selection
from curation.workspace import Workspace

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class MapPoints:
    """Rows of the drawn images and their places in the unit square. Shapes: [n], [n, 2]."""

    rows: Rows
    points: Floats


class Explorer:
    """An open workspace. Any thread may ask; decisions by hand are written one after the other.

    Errors: MissingInput without a catalogue.
    """

    def __init__(self, workspace: Workspace, config: CurateConfig) -> None:
        workspace.require_catalog()
        recompute_selection(workspace)
        self.workspace, self.config = workspace, config
        self.catalogued = read_catalogued(workspace)
        self.decided = read_decided(workspace, self.catalogued.keys)
        self.clusters = read_cluster_codes(workspace, self.catalogued.keys)
        sets = sorted((workspace.root / "sets").glob("*/catalog"))
        self.pictures = Pictures(self.catalogued.keys, self.catalogued.uris, sets, config.ingest.limits)
        self.models = _models(workspace, config)
        self._lock = RLock()
        self._indexes: dict[str, VectorIndex] = {}
        self._embedders: dict[str, Embedder] = {}
        self._texts: dict[str, TextSide] = {}
        self._maps: dict[tuple[str, str, int], MapPoints] = {}
        self._groups: Groups | None = None

    def __len__(self) -> int:
        return len(self.catalogued.keys)

    def row(self, key: str) -> int:
        """Row of a key of the pool. Errors: MissingInput."""
        row = row_of(key.lower(), self.catalogued.keys)
        if row < 0:
            raise MissingInput(f"no image of the pool has the key {key!r}")
        return row

    def index(self, model: str) -> VectorIndex:
        """The vectors of a model, opened when first asked for. Errors: MissingInput."""
        with self._lock:
            name = self._model(model)
            if name not in self._indexes:
                store = EmbeddingStore.open(self.workspace.embeddings(model_name(name)))
                self._indexes[name] = VectorIndex(store, self.catalogued.keys)
            return self._indexes[name]

    def _model(self, model: str) -> str:
        if not self.models:
            raise MissingInput("the workspace has no vectors yet: make them with `curate embed`")
        if model and model not in self.models:
            raise UserError(f"the workspace has no vectors of {model!r} ({nearest_name(model, self.models)})")
        return model or self.models[0]

    def neighbours(self, key: str, model: str, count: int) -> tuple[Rows, Floats]:
        """The nearest other images of an image of the pool. Errors: MissingInput when it has no vector."""
        row, index = self.row(key), self.index(model)
        rows, units = index.vectors(np.array([row]))
        if not len(rows):
            raise MissingInput(f"{key} has no vector of {index.model}: run `curate embed --model {index.model}`")
        return index.nearest(units[0], count, without=row)

    def like_picture(self, data: bytes, model: str, count: int) -> tuple[Rows, Floats]:
        """The nearest images of a picture from outside. Errors: UserError (no picture, another model version)."""
        index = self.index(model)
        with self._lock:
            if index.model not in self._embedders:
                self._embedders[index.model] = load_embedder(index.model, self.config.embed)
            embedder = self._embedders[index.model]
        if embedder.version != index.version:
            raise UserError(
                f"the vectors on disk are of another version of {index.model}: run `curate embed --model {index.model}`"
            )
        try:
            pixels = decode_rgb(data, self.config.ingest.limits, max_side_px=embedder.max_side_px)
        except BadImage as bad:
            raise UserError(f"this file is not a usable picture ({bad}): drop another") from None
        return index.nearest(embedder.embed_images([pixels])[0], count)

    def like_words(self, words: str, model: str, count: int) -> tuple[Rows, Floats]:
        """The nearest images of a text. Errors: UserError when the model takes no words."""
        index = self.index(model)
        with self._lock:
            if index.model not in self._texts:
                self._texts[index.model] = TextSide(index.model, self.config.embed)
            vector = self._texts[index.model].vector(words)
        return index.nearest(vector, count)

    def shown(self, asked: Filter) -> Rows:
        """Rows that pass a filter."""
        return rows_shown(asked, self.catalogued, self.decided, self.clusters)

    def groups(self) -> Groups:
        """Groups of duplicates, by the model of dedup where it has vectors."""
        with self._lock:
            if self._groups is None:
                model = self.config.dedup.model
                index = self.index(model) if model in self.models else None
                self._groups = read_groups(self.decided.group, index)
            return self._groups

    def map(self, model: str, method: str, most: int) -> MapPoints:
        """Points of at most `most` images, evenly drawn in the order of keys, which is a random one."""
        index = self.index(model)
        with self._lock:
            asked = (index.model, method, most)
            if asked not in self._maps:
                rows = np.unique(np.linspace(0, len(self) - 1, min(most, len(self))).astype(np.int64))
                rows, units = index.vectors(rows)
                self._maps[asked] = MapPoints(rows, project(units, method))
            return self._maps[asked]

    def override(self, decisions: Sequence[Override]) -> None:
        """Write decisions by hand, decide anew, show what came of it. Errors: MissingInput for unknown images."""
        for one in decisions:
            self.row(one.key)
            if one.into is not None:
                self.row(one.into)
        with self._lock:
            add_overrides(self.workspace.overrides, decisions)
            self._renew()

    def take_back(self, keys: Sequence[str], actions: Sequence[str]) -> None:
        """Forget decisions by hand over these images."""
        with self._lock:
            remove_overrides(self.workspace.overrides, keys, actions)
            self._renew()

    def _renew(self) -> None:
        recompute_selection(self.workspace)
        self.decided = read_decided(self.workspace, self.catalogued.keys)
        self._groups = None


def _models(workspace: Workspace, config: CurateConfig) -> list[str]:
    """Models with a finished store, those that the settings name first."""
    found = []
    for header in sorted((workspace.root / "embeddings").glob(f"*/{HEADER}")):
        store = EmbeddingStore.open(header.parent)
        if store.rows:
            found.append(store.model)
    first = [config.retrieve.model, config.dedup.model, config.cluster.model]
    return sorted(dict.fromkeys(found), key=lambda model: (first.index(model) if model in first else 9, model))
