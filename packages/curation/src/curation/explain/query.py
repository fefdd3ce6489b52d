"""Is this image in the set, or a copy of it, or its like? Answers from the stored vectors, for any image file.

Dimensions: P pool images, D width, K answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.embedding_store import EmbeddingStore
from contracts.keys import key_of_bytes
from curation.catalog import part_file, part_numbers
from curation.decode import decode_rgb
from curation.embed.embedder import Embedder
from curation.explain.explain import Row, rows_where
from curation.index.search import SearchBase, search


@dataclass(frozen=True)
class NearImage:
    """A pool image near the one that was asked for, and where it was found. `kept` None: no decision yet."""

    key: str
    uri: str | None
    cosine: float
    kept: bool | None
    reason: str | None


@dataclass(frozen=True)
class NearImages:
    """The nearest images by one embedder. `threshold`: cosine above which they count as copies, if it has one."""

    model: str
    threshold: float | None
    nearest: list[NearImage]

    @property
    def copies(self) -> list[NearImage]:
        """Those above the threshold."""
        return [near for near in self.nearest if self.threshold is not None and near.cosine > self.threshold]


@dataclass(frozen=True)
class QueryReport:
    """`known`: whether these very bytes are in the catalogue, with the decision over them."""

    key: str
    known: bool
    kept: bool | None
    reason: str | None
    by_model: list[NearImages]


def query_image(
    data: bytes,
    embedders: Sequence[tuple[Embedder, EmbeddingStore, float | None]],
    catalog: Path,
    selection: Path,
    answers: int = 10,
) -> QueryReport:
    """Look an image up by its bytes and by its vectors. Each embedder comes with its store and its threshold.

    Errors: BadImage when the bytes are no image.
    """
    key = key_of_bytes(data)
    pixels = decode_rgb(data)
    own = rows_where(selection, "key", [key])
    by_model = []
    for embedder, store, threshold in embedders:
        near = nearest_in_store(embedder.embed_images([pixels])[0], store, embedder.odd_dims, answers)
        keys = [other for other, _ in near]
        fates = {row["key"]: row for row in rows_where(selection, "key", keys)}
        places = _places(catalog, keys)
        found = [_near(other, cosine, fates.get(other), places.get(other)) for other, cosine in near]
        by_model.append(NearImages(store.model, threshold, found))
    return QueryReport(key, bool(own), own[0]["kept"] if own else None, own[0]["reason"] if own else None, by_model)


def nearest_in_store(
    vector: NDArray[np.float32], store: EmbeddingStore, odd_dims: int, answers: int
) -> list[tuple[str, float]]:
    """Keys and cosines of the nearest stored vectors, best first, part by part. Shapes: vector [D]."""
    found: list[tuple[str, float]] = []
    for position, rows in enumerate(store.part_rows):
        base = SearchBase(store.part_vectors(position), odd_dims)
        cosines, places = search(vector[None], base, min(answers, rows))
        keys = store.part_keys(position).take(pa.array(places[0])).to_pylist()
        found += zip(keys, cosines[0].tolist(), strict=True)
    return sorted(found, key=lambda item: (-item[1], item[0]))[:answers]


def _places(catalog: Path, keys: Sequence[str]) -> dict[str, str]:
    """The first uri of each key, in order of text."""
    rows = [row for number in part_numbers(catalog) for row in rows_where(part_file(catalog, number), "key", keys)]
    return {row["key"]: row["uri"] for row in sorted(rows, key=lambda row: row["uri"], reverse=True)}


def _near(key: str, cosine: float, fate: Row | None, uri: str | None) -> NearImage:
    return NearImage(key, uri, cosine, fate["kept"] if fate else None, fate["reason"] if fate else None)
