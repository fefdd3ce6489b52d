"""One worker of the embedding step: reads, decodes, describes and publishes whole parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.embedding_store import EmbeddingWriter
from curation.embed.config import EmbedConfig
from curation.embed.decode_ahead import Preparing, Unusable, prepared_images
from curation.embed.embedder import Embedder, PreparingEmbedder
from curation.embed.table import load_embedder
from curation.sources.image_part import ImagePart


@dataclass(frozen=True)
class PartResult:
    """`failed`: (key, reason) of images that could not be read or decoded any more."""

    rows: int
    failed: tuple[tuple[str, str], ...]


def make_worker(spec: str, store_folder: str, settings: EmbedConfig) -> Callable[[ImagePart], PartResult]:
    """Built once per worker: the model is loaded here."""
    embedder = load_embedder(spec, settings)
    writer = EmbeddingWriter(Path(store_folder), model=spec, dim=embedder.dim)

    def work(part: ImagePart) -> PartResult:
        return embed_part(part, embedder, writer, settings)

    return work


def embed_part(part: ImagePart, embedder: Embedder, writer: EmbeddingWriter, settings: EmbedConfig) -> PartResult:
    """Embed and publish one part. Images that fail are left out and named."""
    prepare, embed = _halves(embedder)
    preparing = Preparing(prepare, embedder.max_side_px, settings.threads_ahead, settings.batch_images)
    keys: list[str] = []
    failed: list[tuple[str, str]] = []
    vectors: list[NDArray[np.float32]] = []
    batch: list[Any] = []
    for key, ready in prepared_images(part.keys, part.uris, preparing):
        if isinstance(ready, Unusable):
            failed.append((key, ready.reason))
            continue
        keys.append(key)
        batch.append(ready)
        if len(batch) == settings.batch_images:
            vectors.append(embed(batch))
            batch = []
    if batch:
        vectors.append(embed(batch))
    if keys:
        writer.write_part(part.number, keys, np.concatenate(vectors))
    return PartResult(len(keys), tuple(failed))


def _halves(
    embedder: Embedder,
) -> tuple[Callable[[NDArray[np.uint8]], Any], Callable[[Sequence[Any]], NDArray[np.float32]]]:
    """What threads may do ahead, image by image, and what is left for batches."""
    if isinstance(embedder, PreparingEmbedder):
        return embedder.prepare, embedder.embed_prepared
    return _unchanged, embedder.embed_images


def _unchanged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image
